"""Finds what trainers write beside a dataset: `runs/detect/train/`, plots, mosaics of batches, drawn predictions."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from pipeline.archive.entry_names import bare_of, base_of, folder_of, suffix_of

_TASKS = frozenset({"detect", "segment", "classify", "pose", "obb", "predict", "track", "predict-seg", "predict-cls"})
_NUMBERED = re.compile(r"(?:exp|train|val|predict|track|test)[-_]?\d*(?:-(?:seg|cls))?")
_UNNAMED_RUN = re.compile(r"(?:exp|predict|track)")
_RECORDS = frozenset({"args.yaml", "opt.yaml", "hyp.yaml", "results.csv", "results.txt"})
_PLOTS = re.compile(
    r"train_batch\d+\.jpg|val_batch\d+_(?:labels|pred)\.jpg|test_batch\d+_(?:labels|pred)\.jpg|results\.png|"
    r"confusion_matrix(?:_normalized)?\.png|(?:(?:box|mask|pose)?_?(?:f1|p|r|pr)_curve)\.(?:png|jpg)|"
    r"labels(?:_correlogram)?\.(?:jpg|png)"
)
_TRACKERS = {"wandb": re.compile(r"(?:offline-)?run-.*|latest-run"), "mlruns": re.compile(r"\d+|\.trash|models")}
_WEIGHTS = (".pt", ".pth", ".onnx", ".engine", ".ckpt")


class TrainerRuns:
    """`names`: of all entries, also of those that cannot be data."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        children: dict[str, set[str]] = defaultdict(set)
        for name in names:
            for top, child in _possible_tops(folder_of(name)):
                children[top].add(child)
        self._tops = {top for top, below in children.items() if _holds_runs(top, below, names)}
        self._plots = _lone_plots(names)

    def holds(self, name: str) -> bool:
        if name in self._plots:
            return True
        return bool(self._tops) and any(top in self._tops for top, _ in _possible_tops(folder_of(name)))


@lru_cache(maxsize=4096)
def _possible_tops(folder: str) -> tuple[tuple[str, str], ...]:
    """(path of a folder named `runs`, or as an experiment tracker's is; the folder below it)."""
    parts = folder.split("/")
    return tuple(
        ("/".join(parts[: at + 1]), parts[at + 1])
        for at, part in enumerate(parts[:-1])
        if part.lower() == "runs" or part.lower() in _TRACKERS
    )


def _holds_runs(top: str, below: set[str], names: list[str]) -> bool:
    """A class may be called `runs`: its folder has no tasks below it, and no records, plots or weights."""
    tracker = _TRACKERS.get(base_of(top).lower())
    if tracker:
        return any(tracker.fullmatch(child) for child in below)
    if any(child.lower() in _TASKS for child in below):
        return True
    if not all(_NUMBERED.fullmatch(child.lower()) for child in below):
        return False
    if any(_UNNAMED_RUN.match(child.lower()) for child in below):
        return True
    return any(_is_record(name) for name in names if name.startswith(f"{top}/"))


def _is_record(name: str) -> bool:
    base = base_of(name).lower()
    return base in _RECORDS or _PLOTS.fullmatch(base) is not None or suffix_of(name) in _WEIGHTS


def _lone_plots(names: list[str]) -> set[str]:
    """Plots in other folders that a trainer wrote: with its records or several kinds of plots, and no label file."""
    marked: dict[str, set[str]] = defaultdict(set)
    for name in names:
        base = base_of(name).lower()
        if base in _RECORDS or _PLOTS.fullmatch(base):
            marked[folder_of(name)].add(name)
    found: set[str] = set()
    known = set(names) if marked else set()
    for marks in marked.values():
        plots = {name for name in marks if _PLOTS.fullmatch(base_of(name).lower())}
        labelled = any(f"{bare_of(name)}{suffix}" in known for name in plots for suffix in (".txt", ".xml"))
        if len({re.sub(r"\d+", "", base_of(name).lower()) for name in marks}) > 1 and not labelled:
            found |= plots
    return found
