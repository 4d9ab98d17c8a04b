"""The predictor of this repository as a package of its own: the modules that it consists of, and its script.

Nothing is written twice: the modules are found by their imports and copied as they are; only the name of the package in
their imports is another one.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pipeline

PACKAGE = "darkroom_predictor"  # the folder in the bundle
SCRIPT = "pipeline.bundle.predict"
ENTRANCE = "pipeline.predictor.predictor"
_ROOT = Path(pipeline.__file__).parents[1]
_IMPORT = re.compile(r"^( *from )pipeline\.(?=[\w.]+ import )", re.MULTILINE)
_INIT = f'''"""Predictions of the exported model of this bundle. It needs numpy, pillow and onnxruntime."""

from {PACKAGE}.predictor.predictor import ExportPredictor as ExportPredictor
'''


class SourceUnknown(ValueError):
    """A module that the predictor imports cannot be put into a bundle."""


def predictor_files() -> dict[str, str]:
    """Name in the bundle -> text: predict.py, and the files of the package. Raises SourceUnknown."""
    modules = sorted(_reached(ENTRANCE) - {"pipeline"})
    files = {_name_in_bundle(module): _renamed(_source(module)) for module in modules}
    return {f"{PACKAGE}/__init__.py": _INIT, **files, "predict.py": _renamed(_source(SCRIPT))}


def _reached(module: str) -> set[str]:
    """With the packages that they lie in."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            package = one.rpartition(".")[0]
            waiting += [*_imports(one), *([package] if package else [])]
    return found


def _imports(module: str) -> Iterator[str]:
    """The modules of this repository that it imports."""
    for node in ast.walk(ast.parse(_source(module))):
        match node:
            case ast.ImportFrom(module=str(source), level=0) if _is_ours(source):
                yield source
                yield from (f"{source}.{each.name}" for each in node.names if _file(f"{source}.{each.name}"))
            case ast.Import(names=names) if any(_is_ours(each.name) for each in names):
                raise SourceUnknown(f"{module}, line {node.lineno}: write `from module import name`")


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("pipeline", "core")


def _name_in_bundle(module: str) -> str:
    file = _file(module)
    if file is None or not module.startswith("pipeline."):
        raise SourceUnknown(f"the predictor cannot take {module} into a bundle")
    return f"{PACKAGE}/{file.relative_to(_ROOT / 'pipeline').as_posix()}"


def _renamed(source: str) -> str:
    return _IMPORT.sub(rf"\1{PACKAGE}.", source)


def _source(module: str) -> str:
    file = _file(module)
    if file is None:
        raise SourceUnknown(f"the source of {module} is not here")
    return file.read_text(encoding="utf-8")


def _file(module: str) -> Path | None:
    stem = _ROOT.joinpath(*module.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)
