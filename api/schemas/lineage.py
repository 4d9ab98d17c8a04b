"""JSON of a project's lineage: a graph of its datasets, runs, versions and aliases."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas import Links, Timestamp
from api.schemas.jobs import JOB_ID, timestamp
from api.schemas.links import link
from api.schemas.runs import RUN_ID
from core.domain.main_metrics import main_metrics
from core.domain.model_names import alias_name, dataset_name, version_name
from core.domain.states import RunState
from core.services.projects.lineage import Alias, Dataset, LineageRows, Training, Version

NodeKind = Literal["dataset", "run", "version", "alias", "import"]
EdgeKind = Literal["trained-on", "produced", "fine-tuned-from", "extends", "repaired-from", "imported", "alias"]

_FOLDED = frozenset({RunState.FAILED, RunState.CANCELLED})


class Figure(BaseModel):
    """The main metric of a version: on the test split, or on val where there is none."""

    metric: str = Field(examples=["mAP50"])
    split: str = Field(examples=["test"])
    value: float = Field(examples=[0.914])


class LineageNode(BaseModel):
    """A dataset, a run, a version, an alias, or the operation that imported a version."""

    id: str = Field(examples=[JOB_ID])
    kind: NodeKind
    name: str = Field(description="`raccoons/d2`, `raccoons/v7`, `raccoons@production`; of a run its model.")
    title: str | None = Field(None, description="Of a dataset: the name of its upload.", examples=["march.zip"])
    state: str | None = Field(None, description="Of a dataset or a run.", examples=["ready"])
    deleted: bool = Field(False, description="Only this trace of it is left; its address answers 410.")
    outside: bool = Field(False, description="Of another project or an older page: here as the end of an edge.")
    origin: str | None = Field(None, description="Of a version: `run` or `imported`.", examples=["run"])
    images: int | None = Field(None, examples=[240])
    classes: int | None = Field(None, description="Number of classes.", examples=[4])
    trainer: str | None = Field(None, examples=["yolo"])
    epochs: int | None = Field(None, description="Of a run: the epochs that it was started with.", examples=[30])
    parent: str | None = Field(
        None, description="Of a run or a version: the version that it is fine-tuned from.", examples=["raccoons/v2"]
    )
    figure: Figure | None = None
    folded_runs: dict[str, int] = Field(
        default_factory=dict,
        description="Of a dataset: the runs that are left out, by state. `?runs=all` lists them.",
        examples=[{"failed": 3, "cancelled": 1}],
    )
    created_at: Timestamp | None = None
    links: Links = Field(default_factory=dict)


class LineageEdge(BaseModel):
    """Reads as a sentence: the source is `trained-on`, `fine-tuned-from`, ... the target."""

    source: str = Field(description="Id of a node.", examples=[RUN_ID])
    target: str = Field(description="Id of a node.", examples=[JOB_ID])
    kind: EdgeKind


class Lineage(BaseModel):
    """Where the versions of a project come from. Nodes are oldest first within each kind."""

    project: str = Field(examples=["raccoons"])
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    truncated: bool = Field(description="There are older datasets, runs or versions than these.")
    next_from: str | None = Field(
        None, description="Send it as `from` to get the older ones. Null on the last page.", examples=[RUN_ID]
    )
    links: Links


def lineage_of(rows: LineageRows, *, all_runs: bool, limit: int, first: str | None = None) -> Lineage:
    """Without `all_runs`, failed and cancelled runs are counted in the node of their dataset.

    `limit`, `first`: what the rows were read with, for the links.
    """
    trainings = [each for each in rows.trainings if all_runs or each.state not in _FOLDED]
    folded: dict[str, Counter[str]] = {}
    for training in rows.trainings:
        if not all_runs and training.state in _FOLDED:
            folded.setdefault(training.job_id, Counter())[training.state] += 1
    names = {each.id: version_name(each.slug, each.number) for each in rows.versions}
    nodes = [
        *(_dataset_node(each, rows, folded.get(each.id, Counter())) for each in rows.datasets),
        *(_run_node(each, rows, names) for each in trainings),
        *(_import_node(each, rows) for each in rows.versions if _is_imported(each)),
        *(_version_node(each, rows, names) for each in rows.versions),
        *(_alias_node(each, rows.slug) for each in rows.aliases),
    ]
    path, query = f"/projects/{rows.slug}/lineage", {"limit": limit, "runs": "all" if all_runs else None}
    here = {"from": first} | query
    links = {"self": link(path, **here), "svg": link(path, **here, format="svg")}
    if rows.next_from:
        links["next"] = link(path, **({"from": rows.next_from} | query))
    return Lineage(
        project=rows.slug,
        nodes=nodes,
        edges=_between({node.id for node in nodes}, [*_edges(rows, trainings)]),
        truncated=rows.next_from is not None,
        next_from=rows.next_from,
        links=links,
    )


def _dataset_node(row: Dataset, rows: LineageRows, folded: Mapping[str, int]) -> LineageNode:
    return LineageNode(
        id=row.id,
        kind="dataset",
        name=dataset_name(row.slug, row.revision),
        title=row.name or None,
        state=row.state,
        deleted=row.deleted_at is not None,
        outside=row.id in rows.outside,
        images=row.images,
        classes=row.classes,
        folded_runs={state: folded[state] for state in sorted(folded)},
        created_at=timestamp(row.created_at),
        links={"self": link(f"/jobs/{row.id}")},
    )


def _run_node(row: Training, rows: LineageRows, names: Mapping[str, str]) -> LineageNode:
    epochs = row.params.get("epochs")
    return LineageNode(
        id=row.id,
        kind="run",
        name=str(row.params.get("model") or row.trainer),
        state=row.state,
        deleted=row.deleted_at is not None,
        outside=row.id in rows.outside,
        parent=names.get(row.parent_id or ""),
        trainer=row.trainer,
        epochs=epochs if isinstance(epochs, int) else None,
        created_at=timestamp(row.created_at),
        links={"self": link(f"/runs/{row.id}")},
    )


def _import_node(row: Version, rows: LineageRows) -> LineageNode:
    links = {"self": link(f"/operations/{row.operation_id}")} if row.operation_id else {}
    return LineageNode(
        id=_import_id(row),
        kind="import",
        name="import",
        deleted=row.deleted_at is not None,
        outside=row.id in rows.outside,
        created_at=timestamp(row.created_at),
        links=links,
    )


def _version_node(row: Version, rows: LineageRows, names: Mapping[str, str]) -> LineageNode:
    return LineageNode(
        id=row.id,
        kind="version",
        name=names[row.id],
        deleted=row.deleted_at is not None,
        outside=row.id in rows.outside,
        origin=row.origin,
        parent=names.get(row.parent_id or ""),
        figure=_figure(row.metrics),
        created_at=timestamp(row.created_at),
        links={"self": link(f"/models/{row.job_id or row.project_id}/v{row.number}")},
    )


def _figure(metrics: Mapping[str, Any]) -> Figure | None:
    split, found = main_metrics(metrics)
    finite = [(name, value) for name, value in found.items() if math.isfinite(value)]
    if split is None or not finite:
        return None
    metric, value = finite[0]
    return Figure(metric=metric, split=split, value=value)


def _alias_node(row: Alias, slug: str) -> LineageNode:
    return LineageNode(
        id=_alias_id(row),
        kind="alias",
        name=alias_name(slug, row.alias),
        created_at=timestamp(row.updated_at),
        links={"self": link(f"/models/{slug}/aliases/{row.alias}")},
    )


def _edges(rows: LineageRows, trainings: Iterable[Training]) -> Iterator[LineageEdge]:
    for dataset in rows.datasets:
        yield from _edge(dataset.id, dataset.parent_id, "extends")
        yield from _edge(dataset.id, dataset.repair_of, "repaired-from")
    published = {version.run_id for version in rows.versions}
    for training in trainings:
        yield from _edge(training.id, training.job_id, "trained-on")
        if training.id not in published:  # else its version has this edge
            yield from _edge(training.id, training.parent_id, "fine-tuned-from")
    for version in rows.versions:
        if version.run_id is not None:
            yield from _edge(version.run_id, version.id, "produced")
        if _is_imported(version):
            yield from _edge(_import_id(version), version.id, "imported")
        yield from _edge(version.id, version.parent_id, "fine-tuned-from")
    for alias in rows.aliases:
        yield from _edge(_alias_id(alias), alias.version_id, "alias")


def _edge(source: str, target: str | None, kind: EdgeKind) -> Iterator[LineageEdge]:
    if target is not None:
        yield LineageEdge(source=source, target=target, kind=kind)


def _between(ids: set[str], edges: list[LineageEdge]) -> list[LineageEdge]:
    """A row from outside the page has further edges of its own, which lead out of the graph."""
    return [edge for edge in edges if edge.source in ids and edge.target in ids]


def _is_imported(version: Version) -> bool:
    return version.origin == "imported"


def _import_id(version: Version) -> str:
    return version.operation_id or f"import_{version.id.partition('_')[2]}"


def _alias_id(alias: Alias) -> str:
    return f"alias_{alias.alias}"
