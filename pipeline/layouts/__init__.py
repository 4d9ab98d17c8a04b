"""How prepared sets are written: one layout for each kind of dataset, imported only for its kind.

A new layout is one module (LayoutModule) and one entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pipeline.dataset.validated import ValidatedDataset
    from pipeline.layouts.tarball import Place
    from pipeline.process.progress import StageReporter

TREE_FOLDER, TAR_FILE, MANIFEST_FILE = "tree", "dataset.tar", "manifest.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """`version` is in the fingerprint: it is raised whenever the same dataset would be written differently.

    `scratch_bytes`: the most that lies beside the tar while it is written.
    """

    name: str
    version: int
    module: str
    scratch_bytes: int = 0


_SHARD_BYTES = 400 * 1024 * 1024  # one Arrow file: `save_to_disk` has 500 MB, a tar's member at most 8 GiB

LAYOUTS: Mapping[str, Layout] = {
    "detection": Layout("yolo", 2, "pipeline.layouts.yolo"),
    "classification": Layout("huggingface", 2, "pipeline.layouts.huggingface", scratch_bytes=_SHARD_BYTES),
}
MAX_SCRATCH_BYTES = max(layout.scratch_bytes for layout in LAYOUTS.values())


class LayoutModule(Protocol):
    def write_set(
        self,
        dataset: "ValidatedDataset",
        out: Path,
        steps: "StageReporter",
        placed: "Callable[[dict[str, Place]], None]",
    ) -> int:
        """Write `out/dataset.tar`, its manifest among the members: the same bytes for the same dataset.

        `placed` gets the place of each image in it, by its path, while it may still be written. Returns its size in
        bytes. Raises RunCancelled when the run is cancelled, and what `placed` raises.
        """


def layout_of(kind: str) -> LayoutModule:
    return cast(LayoutModule, import_module(LAYOUTS[kind].module))
