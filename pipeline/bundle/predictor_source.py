"""The predictor of this repository as a package of its own: the modules it consists of, and its script.

Nothing is written twice: the modules are found by their imports, copied as they are, and only import each other by
relative names, so that the folder works in any place.
"""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "predictor"  # the folder in the bundle
SCRIPT = "pipeline.bundle.predict"
ENTRANCE = "pipeline.predictor.predictor"
_OURS = ("pipeline.", "core.")
_IMPORT = re.compile(r"^( *)from ((?:pipeline|core)\.[\w.]+) import ", re.MULTILINE)


def predictor_files() -> dict[str, str]:
    """Name in the bundle -> text: predict.py, and the modules of the package."""
    modules = sorted(_reached(ENTRANCE))
    names = {module: module.rpartition(".")[2] for module in modules}
    if len(set(names.values())) != len(names):
        raise ValueError(f"two modules of the predictor have the same name: {', '.join(modules)}")
    files = {f"{PACKAGE}/{names[module]}.py": _rewritten(module, names, before=".") for module in modules}
    files[f"{PACKAGE}/__init__.py"] = _source("pipeline.predictor")
    files["predict.py"] = _rewritten(SCRIPT, names, before=f"{PACKAGE}.")
    return files


def _reached(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += _imports(_source(one))
    return found


def _imports(source: str) -> Iterator[str]:
    """Of modules of this repository. Raises ValueError for a form that `_rewritten` does not know."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_OURS):
            yield node.module
        elif isinstance(node, ast.Import) and any(name.name.startswith(_OURS) for name in node.names):
            raise ValueError(f"line {node.lineno}: write `from module import name`, as the other modules do")


def _rewritten(module: str, names: dict[str, str], *, before: str) -> str:
    return _IMPORT.sub(lambda match: f"{match[1]}from {before}{names[match[2]]} import ", _source(module))


def _source(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"the source of {module} is not here")
    return Path(spec.origin).read_text(encoding="utf-8")
