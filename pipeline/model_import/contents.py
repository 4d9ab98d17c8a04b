"""What an uploaded model is, by its content: a PyTorch file, an ONNX file, a ZIP of one or of a folder of transformers,
or something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.archive.contents import kinds_of
from pipeline.archive.entry_names import base_of, suffix_of
from pipeline.archive.first_bytes import HEAD_BYTES, name_content
from pipeline.archive.zip_directory import BrokenArchive, ZipEntry, read_directory
from pipeline.archive.zip_rules import validate
from pipeline.trainers.model_refusal import Reason, refused

CONFIG, SAFETENSORS = "config.json", "model.safetensors"
_EXPECTED = (
    "Upload a .pt file of an ultralytics detector, an .onnx file (in a ZIP with labels.txt where it does not name its "
    "classes), or a ZIP of a folder of transformers with config.json and model.safetensors."
)
_IR_VERSIONS = range(1, 64)  # of ONNX: 13 in 2026
_PICKLE = "It is a bare pickle, which can run code when it is read: save it with torch.save of PyTorch 1.6 or later."
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class Contents:
    """`entries`: of the ZIP; a plain .onnx file has none. `folder`: in which the files of a model lie, empty or with a
    slash. `onnx`: the name of the .onnx file in the ZIP."""

    kind: Literal["pytorch", "transformers", "onnx"]
    entries: tuple[ZipEntry, ...] = ()
    folder: str = ""
    onnx: str | None = None


def contents_of(source: Path) -> Contents:
    """Raises ModelRefused for a broken or hostile ZIP, and for anything else."""
    if _is_onnx(source):
        return Contents("onnx")
    entries = _entries(source)
    files = [entry.name for entry in entries if not entry.is_folder]
    pickled = [each for each in files if each.count("/") == 1 and base_of(each) == "data.pkl"]
    if pickled:
        return _pytorch(entries, pickled[0].removesuffix("data.pkl"))
    if exported := _onnx_in(files):
        return Contents("onnx", tuple(entries), exported.removesuffix(base_of(exported)), exported)
    configs = sorted((each for each in files if base_of(each) == CONFIG and each.count("/") <= 1), key=len)
    if not configs:
        raise refused(Reason("", f"{_found(files)} {_EXPECTED}"))
    if len(configs) > 1 and configs[0] != CONFIG:
        raise refused(Reason(configs[1], f"The ZIP holds several models: {', '.join(configs[:5])}. Upload one."))
    return Contents("transformers", tuple(entries), configs[0].removesuffix(CONFIG))


def _is_onnx(source: Path) -> bool:
    """A protobuf message whose first field is the version of ONNX's format: nothing else that is uploaded begins so."""
    with source.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x08 and head[1] in _IR_VERSIONS


def _onnx_in(files: Sequence[str]) -> str | None:
    """The .onnx file of a ZIP that is not a folder of transformers. Raises ModelRefused for several."""
    found = sorted((each for each in files if suffix_of(each) == ".onnx" and each.count("/") <= 1), key=len)
    if not found or any(base_of(each) == SAFETENSORS and each.count("/") <= 1 for each in files):
        return None
    if len(found) > 1:
        raise refused(Reason(found[1], f"The ZIP holds several models: {', '.join(found[:5])}. Upload one."))
    return found[0]


def _entries(source: Path) -> list[ZipEntry]:
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
        try:
            entries, directory_at = read_directory(file)
        except BrokenArchive as error:
            found = _PICKLE if head[:1] == b"\x80" else name_content(head) or error.finding.detail
            raise refused(Reason("", f"{found} {_EXPECTED}")) from error
        reasons = [Reason(each.path, each.detail) for each in validate(file, entries, directory_at)]
    if reasons:
        raise refused(*reasons)
    return entries


def _pytorch(entries: Sequence[ZipEntry], folder: str) -> Contents:
    if any(entry.name in (f"{folder}constants.pkl", f"{folder}code/") for entry in entries):
        raise refused(Reason("", f"It is a TorchScript export, which is code. {_EXPECTED}"))
    return Contents("pytorch", tuple(entries), folder)


def _found(files: Sequence[str]) -> str:
    pickles = [each for each in files if suffix_of(each) in _PICKLES]
    if len(pickles) == len(files) == 1:
        return f"The ZIP holds {base_of(files[0])}: upload that file itself."
    return f"It holds {kinds_of(files)}." if files else "The ZIP is empty."
