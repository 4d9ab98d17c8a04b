"""An ONNX file and what is said about it, out of a hostile upload: a few files, known by name."""

from pathlib import Path

from pipeline.archive.disk_space import require_space
from pipeline.model_import.contents import CONFIG, Contents
from pipeline.model_import.folder import MAX_JSON_BYTES, inflate_as_named
from pipeline.trainers.model_refusal import Reason, refused

MODEL = "model.onnx"  # the name that the trainer reads
MAX_BYTES = 2 * 1024**3 - 1  # of a protobuf message
_DESCRIPTIONS = ("labels.txt", "labels.json", CONFIG, "preprocessor_config.json", "darkroom.json")


def unpack_onnx(source: Path, contents: Contents, folder: Path) -> tuple[str, ...]:
    """Puts MODEL and its descriptions into `folder`; returns the names of files that were left in the ZIP.

    Raises ModelRefused, OutOfSpace.
    """
    if contents.onnx is None:
        _require_size(MODEL, source.stat().st_size, MAX_BYTES)
        (folder / MODEL).symlink_to(source.resolve())
        return ()
    files = [entry for entry in contents.entries if not entry.is_folder]
    inside = {entry.name.removeprefix(contents.folder): entry for entry in files}
    model = inside.pop(contents.onnx.removeprefix(contents.folder))
    wanted = {name: inside.pop(name) for name in _DESCRIPTIONS if name in inside}
    for name, entry in wanted.items():
        _require_size(name, entry.size, MAX_JSON_BYTES)
    _require_size(contents.onnx, model.size, MAX_BYTES)
    wanted[MODEL] = model
    require_space(folder, sum(entry.size for entry in wanted.values()))
    inflate_as_named(source, wanted, folder)
    return tuple(sorted(inside))


def _require_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise refused(Reason(name, f"It has {size} bytes; at most {most} are accepted."))
