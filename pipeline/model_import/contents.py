"""What an uploaded model is, by its content: a PyTorch file, a folder of transformers as ZIP, or something else."""

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

CONFIG = "config.json"
_EXPECTED = (
    "Upload a .pt file of an ultralytics detector, or a ZIP of a folder of transformers with config.json and "
    "model.safetensors."
)
_PICKLE = "It is a bare pickle, which can run code when it is read: save it with torch.save of PyTorch 1.6 or later."
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class Contents:
    """`entries`: of the ZIP that both are. `folder`: in which the files of a model lie, empty or with a slash."""

    kind: Literal["pytorch", "transformers"]
    entries: tuple[ZipEntry, ...]
    folder: str


def contents_of(source: Path) -> Contents:
    """Raises ModelRefused for a broken or hostile ZIP, and for anything else."""
    entries = _entries(source)
    files = [entry.name for entry in entries if not entry.is_folder]
    pickled = [each for each in files if each.count("/") == 1 and base_of(each) == "data.pkl"]
    if pickled:
        return _pytorch(entries, pickled[0].removesuffix("data.pkl"))
    configs = sorted((each for each in files if base_of(each) == CONFIG and each.count("/") <= 1), key=len)
    if not configs:
        raise refused(Reason("", f"{_found(files)} {_EXPECTED}"))
    if len(configs) > 1 and configs[0] != CONFIG:
        raise refused(Reason(configs[1], f"The ZIP holds several models: {', '.join(configs[:5])}. Upload one."))
    return Contents("transformers", tuple(entries), configs[0].removesuffix(CONFIG))


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
