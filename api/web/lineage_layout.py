"""Where the lineage's boxes and lines go: datasets, runs, versions and aliases in four columns, oldest on top.

A row has a run, or an import, and the version that came of it. Lines between rows run in lanes beside the columns, one
for each parent, so that they cross rows at right angles and never cover a box.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from api.schemas.lineage import EdgeKind, Lineage, LineageNode

MARGIN = 32
TOP = 132  # title, figures, headings of the columns
ROW = 62  # a box and the space below it
BOX = 46
FLAG = 24  # an alias, and the space below it
DATASET_GAP = 8  # with a box as high as a row: datasets with one run each stand beside it
DATASET_WIDTH, RUN_WIDTH, VERSION_WIDTH, FLAG_WIDTH = 236, 168, 178, 236
DATASET_BOX, FOLDED_LINE = 54, 18
LANE = 11
MAX_LANES = 12  # further ones share a lane
GAP = 44  # between a run and its version, and beside lanes


@dataclass(frozen=True, slots=True)
class Box:
    node: LineageNode
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        """Where lines begin and end: in boxes of a row at the same height, although that of a dataset is higher."""
        return self.y + (BOX if self.node.kind == "dataset" else self.height) / 2


@dataclass(frozen=True, slots=True)
class Rail:
    """A line from a parent to its children, in a lane at `x`. `start` and `ends`: (x, y)."""

    kind: EdgeKind
    parent: str
    start: tuple[float, float]
    x: float
    ends: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Placed:
    width: float
    height: float
    columns: Mapping[str, float]  # heading -> x
    boxes: Mapping[str, Box]  # by the node's id
    rails: Sequence[Rail]
    pairs: Sequence[tuple[Box, Box, EdgeKind]]  # a run or an import with its version; a version with an alias


@dataclass(slots=True)
class _Row:
    worker: LineageNode | None = None
    version: LineageNode | None = None
    flags: list[LineageNode] = field(default_factory=list)

    @property
    def height(self) -> float:
        return max(ROW, FLAG * len(self.flags) + ROW - BOX)


def place(lineage: Lineage) -> Placed:
    rows = _rows(lineage)
    datasets = [node for node in lineage.nodes if node.kind == "dataset"]
    tops = _tops(rows)
    heights = _dataset_tops(datasets, _first_tops(lineage, rows, tops))
    middles = {node.id: top + BOX / 2 for row, top in zip(rows, tops, strict=True) for node in _nodes(row)}
    middles |= {name: top + BOX / 2 for name, top in heights.items()}
    extends = _lanes(_groups(lineage, {"extends", "repaired-from"}), middles)
    trained = _lanes(_groups(lineage, {"trained-on"}), middles)
    tuned = _lanes(_groups(lineage, {"fine-tuned-from"}), middles)

    dataset_x = MARGIN + _room(extends)
    run_x = dataset_x + DATASET_WIDTH + _room(trained) + GAP
    version_x = run_x + RUN_WIDTH + GAP
    flag_x = version_x + VERSION_WIDTH + _room(tuned) + GAP
    boxes = {node.id: Box(node, dataset_x, heights[node.id], DATASET_WIDTH, _dataset_height(node)) for node in datasets}
    for row, top in zip(rows, tops, strict=True):
        boxes |= _boxes(row, top, run_x=run_x, version_x=version_x, flag_x=flag_x)
    rails = [
        *_rails(lineage, {"extends", "repaired-from"}, boxes, extends, edge=dataset_x, step=-LANE),
        *_rails(lineage, {"trained-on"}, boxes, trained, edge=dataset_x + DATASET_WIDTH, step=LANE),
        *_rails(lineage, {"fine-tuned-from"}, boxes, tuned, edge=version_x + VERSION_WIDTH, step=LANE),
    ]
    columns = {"Datasets": dataset_x, "Runs": run_x, "Versions": version_x}
    if any(row.flags for row in rows):
        columns["Aliases"] = flag_x
    bottom = max([TOP + ROW, *(box.y + box.height for box in boxes.values())])
    width = flag_x + (FLAG_WIDTH if "Aliases" in columns else 0) + MARGIN
    return Placed(width, bottom, columns, boxes, rails, _pairs(lineage, boxes))


def _rows(lineage: Lineage) -> list[_Row]:
    """Those from outside first, then by age: versions in their order, what is running last."""
    nodes = {node.id: node for node in lineage.nodes}
    versions = {
        node.id: _Row(version=node)
        for node in sorted(lineage.nodes, key=lambda node: not node.outside)
        if node.kind == "version"
    }
    others: list[_Row] = []
    made = {edge.source: edge.target for edge in lineage.edges if edge.kind in ("produced", "imported")}
    for node in lineage.nodes:
        if node.kind in ("run", "import"):
            if node.id in made:
                versions[made[node.id]].worker = node
            else:
                others.append(_Row(worker=node))
    for edge in lineage.edges:
        if edge.kind == "alias":
            versions[edge.target].flags.append(nodes[edge.source])
    return sorted([*versions.values(), *others], key=_order)


def _order(row: _Row) -> tuple[bool, str]:
    node = row.version or row.worker
    assert node is not None  # noqa: S101 - for the type checker: a row has one of them
    return not node.outside, node.id.partition("_")[2]


def _nodes(row: _Row) -> list[LineageNode]:
    return [node for node in (row.worker, row.version) if node is not None]


def _tops(rows: Iterable[_Row]) -> list[float]:
    tops, top = [], float(TOP)
    for row in rows:
        tops.append(top)
        top += row.height
    return tops


def _first_tops(lineage: Lineage, rows: Iterable[_Row], tops: Iterable[float]) -> dict[str, float]:
    """Of each dataset with runs: the top of the first one."""
    trained_on = {edge.source: edge.target for edge in lineage.edges if edge.kind == "trained-on"}
    first: dict[str, float] = {}
    for row, top in zip(rows, tops, strict=True):
        if row.worker is not None and row.worker.id in trained_on:
            first.setdefault(trained_on[row.worker.id], top)
    return first


def _dataset_tops(datasets: Iterable[LineageNode], first: Mapping[str, float]) -> dict[str, float]:
    """Beside its first run, or as near below as the datasets before it leave room."""
    tops: dict[str, float] = {}
    free = float(TOP)
    for node in datasets:
        tops[node.id] = max(free, first.get(node.id, free))
        free = tops[node.id] + _dataset_height(node) + DATASET_GAP
    return tops


def _dataset_height(node: LineageNode) -> float:
    return DATASET_BOX + (FOLDED_LINE if node.folded_runs else 0)


def _groups(lineage: Lineage, kinds: set[EdgeKind]) -> dict[tuple[EdgeKind, str], list[str]]:
    """(kind, parent) -> its children."""
    groups: dict[tuple[EdgeKind, str], list[str]] = {}
    for edge in lineage.edges:
        if edge.kind in kinds:
            groups.setdefault((edge.kind, edge.target), []).append(edge.source)
    return groups


def _lanes(
    groups: Mapping[tuple[EdgeKind, str], Sequence[str]], middles: Mapping[str, float]
) -> dict[tuple[EdgeKind, str], int]:
    """A lane for each parent, 0, 1, ... outwards, which no other uses at the same height."""
    spans = {key: [middles[name] for name in (key[1], *children)] for key, children in groups.items()}
    ends: list[float] = []  # of each lane
    lanes: dict[tuple[EdgeKind, str], int] = {}
    for key in sorted(groups, key=lambda key: (min(spans[key]), max(spans[key]), key)):
        low, high = min(spans[key]), max(spans[key])
        lane = next(lane for lane in count() if lane == len(ends) or ends[lane] < low)
        if lane == len(ends):
            ends.append(high)
        ends[lane] = high
        lanes[key] = lane % MAX_LANES
    return lanes


def _room(lanes: Mapping[tuple[EdgeKind, str], int]) -> float:
    return (max(lanes.values()) + 1) * LANE + GAP / 2 if lanes else 0.0


def _boxes(row: _Row, top: float, *, run_x: float, version_x: float, flag_x: float) -> dict[str, Box]:
    boxes = [Box(row.worker, run_x, top, RUN_WIDTH, BOX)] if row.worker else []
    if row.version:
        boxes.append(Box(row.version, version_x, top, VERSION_WIDTH, BOX))
    first = top + max(0.0, (BOX - FLAG * len(row.flags)) / 2)
    boxes += [Box(flag, flag_x, first + FLAG * n, FLAG_WIDTH, FLAG - 4) for n, flag in enumerate(row.flags)]
    return {box.node.id: box for box in boxes}


def _rails(
    lineage: Lineage,
    kinds: set[EdgeKind],
    boxes: Mapping[str, Box],
    lanes: Mapping[tuple[EdgeKind, str], int],
    *,
    edge: float,
    step: float,
) -> list[Rail]:
    """`edge`: the side of the parents' column; a positive `step` leads to the right of it."""
    rails = []
    for key, children in _groups(lineage, kinds).items():
        kind, parent = key
        x = edge + step * (lanes[key] + 1) + (GAP / 4 if step > 0 else -GAP / 4)
        # Lines leave below the middle and arrive above it: a box between two others has both.
        leaves, arrives = (0.0, 0.0) if kind == "trained-on" else (8.0, -8.0)
        ends = [boxes[child] for child in children]
        points = tuple((box.right if kind == "fine-tuned-from" else box.x, box.middle + arrives) for box in ends)
        rails.append(Rail(kind, parent, (edge, boxes[parent].middle + leaves), x, points))
    return rails


def _pairs(lineage: Lineage, boxes: Mapping[str, Box]) -> list[tuple[Box, Box, EdgeKind]]:
    pairs: list[tuple[Box, Box, EdgeKind]] = []
    for edge in lineage.edges:
        if edge.kind in ("produced", "imported"):
            pairs.append((boxes[edge.source], boxes[edge.target], edge.kind))
        elif edge.kind == "alias":
            pairs.append((boxes[edge.target], boxes[edge.source], edge.kind))
    return pairs
