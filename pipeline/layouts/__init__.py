"""How prepared sets are written: one layout for each kind of dataset. Import strings: a kind loads what it needs alone.

A new layout is one module (LayoutModule) and one entry here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pipeline.examined import Examined
    from pipeline.steps import Steps
    from pipeline.tarball import Digest

TREE_FOLDER, TAR_FILE, MANIFEST_FILE = "tree", "dataset.tar", "manifest.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """`version` is in the fingerprint: it grows whenever the same dataset would be written otherwise."""

    name: str
    version: int
    module: str


LAYOUTS: Mapping[str, Layout] = {
    "detection": Layout("yolo", 1, "pipeline.layouts.yolo"),
    "classification": Layout("huggingface", 1, "pipeline.layouts.huggingface"),
}


class LayoutModule(Protocol):
    def write_set(self, done: "Examined", out: Path, steps: "Steps") -> "Digest":
        """Write `out/dataset.tar`, its manifest among the members: the same bytes for the same dataset.

        Raises RunCancelled when told so.
        """


def layout_of(kind: str) -> LayoutModule:
    return cast(LayoutModule, import_module(LAYOUTS[kind].module))
