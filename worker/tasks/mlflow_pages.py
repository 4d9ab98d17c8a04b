"""What people read in MLflow: names, descriptions and tags of a project, its runs and its versions."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.db.tables import ProjectRow, RunRow, VersionRow
from core.domain.main_metrics import MAIN, main_metrics
from core.domain.model_names import dataset_name, version_name
from core.services.models.mlflow_rows import Mirrored
from core.tracking import Page, TrackedDataset
from pipeline.index.leaks import caveat_of

USER = "darkroom"
SHORT_ID = 6  # characters of a run's id that distinguish it in a list
REPORT = "report.html"
# The results that people compare first; others follow in the order of metrics.json.
FIRST_RESULTS = (*MAIN, "precision", "recall")
RESULTS_LISTED = 8
VERSION_TAGS = ("version", "trainer", "dataset", "parent", "origin")
SPLITS = ("test", "val", "train")
_PAD = "&emsp;"  # MLflow's tables have no space between their columns
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")


def project_page(project: ProjectRow, *, public_url: str) -> Page:
    link = _link(f"{project.slug} in Darkroom", f"/projects/{project.slug}", public_url)
    note = _paragraphs([_plain(project.title), project.description, link])
    return Page(project.slug, note, {"project": project.slug})


def run_page(rows: Mirrored, *, public_url: str) -> Page:
    """Of a run, or of the run in MLflow that stands for an imported version."""
    source = f"Darkroom, {rows.run.trainer}" if rows.run is not None else "Darkroom, import"
    tags = _tags(rows) | (state_tags(rows.run) if rows.run is not None else {})
    tags |= {"mlflow.user": USER, "mlflow.source.name": source, "mlflow.source.type": "JOB"}
    return Page(_name(rows), _note(rows, public_url), tags)


def version_page(rows: Mirrored, *, public_url: str) -> Page:
    """Of a registered version and of the logged model behind it. A list of versions displays all its tags."""
    tags = {name: value for name, value in _tags(rows).items() if name in VERSION_TAGS}
    return Page(_name(rows), _note(rows, public_url), tags | {"mlflow.user": USER})


def state_tags(run: RunRow) -> dict[str, str]:
    """What people filter runs by, and what changes while one trains."""
    problem = run.problem or {}
    tags = {"attempt": str(run.attempt), "state": run.state}
    tags |= {f"note.{name}": str(text) for name, text in sorted((run.notes or {}).items())}
    return tags | ({"problem": problem["slug"], "detail": problem["detail"]} if problem else {})


def dataset_of(rows: Mirrored) -> TrackedDataset | None:
    """Called d2, whatever the project is called later."""
    if rows.job is None:
        return None
    fingerprint = rows.run.fingerprint if rows.run is not None else str(rows.job.fingerprint)
    source = {"project_id": rows.project.id, "job_id": rows.job.id, "fingerprint": fingerprint}
    return TrackedDataset(
        name=f"d{rows.job.revision}",
        digest=fingerprint,
        images=rows.job.images or 0,
        use="training" if rows.run is not None else "evaluation",
        source=json.dumps(source),
    )


def params_of(version: VersionRow) -> dict[str, Any]:
    """Of an imported version, whose params are nested: `source/name`."""
    return {
        name if inner is None else f"{name}/{inner}": value
        for name, values in version.params.items()
        for inner, value in (values.items() if isinstance(values, Mapping) else [(None, values)])
    }


def results_table(metrics: Mapping[str, Any]) -> str:
    """A Markdown table: a row for each result, a column for each split that was measured."""
    splits = [split for split in SPLITS if isinstance(metrics.get(split), Mapping)]
    if not splits:
        return ""
    names = _results(metrics[splits[0]])[:RESULTS_LISTED]
    rows = [["", *splits], ["---"] * (1 + len(splits))]
    rows += [[name, *(_number(metrics[split].get(name)) for split in splits)] for name in names]
    return "\n".join(_table_row(row) for row in rows)


def _name(rows: Mirrored) -> str:
    """`yolov8n · v3`; before it is published `yolov8n · run 7m1x9k`."""
    if rows.version is not None:
        return f"{_model(rows)} · v{rows.version.number}"
    return f"{_model(rows)} · run {rows.run.id[-SHORT_ID:]}" if rows.run is not None else _model(rows)


def _model(rows: Mirrored) -> str:
    """`yolov8n`, `vit-base-patch16-224`; of a fine-tuned one `from v2`, of an imported one the name of its file."""
    if rows.parent is not None:
        return f"from {rows.parent.removeprefix(rows.project.slug + '/')}"
    if rows.run is None:
        return _source_name(rows).removesuffix(".zip").removesuffix(".pt")
    model = rows.run.params.get("model")
    return model.rpartition("/")[2].removesuffix(".pt") if isinstance(model, str) and model else rows.run.trainer


def _source_name(rows: Mirrored) -> str:
    params = rows.version.params if rows.version is not None else {}
    return str((params.get("source") or {}).get("name") or "a file")


def _note(rows: Mirrored, public_url: str) -> str:
    """The table last: MLflow leaves no space after one."""
    metrics = rows.version.metrics if rows.version is not None else {}
    links = [_link(name, path, public_url) for name, path in _places(rows)]
    places = " · ".join(filter(None, links))
    return _paragraphs([_headline(metrics), _origin(rows), _leak(rows), places, results_table(metrics)])


def _headline(metrics: Mapping[str, Any]) -> str:
    """In plain text: lists of MLflow display the beginning of a description, without its Markdown."""
    split, measured = main_metrics(metrics)
    return f"{', '.join(f'{name} {value:.3f}' for name, value in measured.items())} on {split}" if measured else ""


def _origin(rows: Mirrored) -> str:
    """`raccoons/v3: yolov8n, trained with yolo on raccoons/d2 (120 images).`; how it failed, if it did."""
    run, version, slug = rows.run, rows.version, rows.project.slug
    name = f"**{version_name(slug, version.number)}**: " if version is not None else ""
    dataset = f" on {dataset_name(slug, rows.job.revision)} ({rows.job.images or 0:,} images)" if rows.job else ""
    if run is None:
        return f"{name}imported from {_plain(_source_name(rows))}{', evaluated' if dataset else ''}{dataset}."
    made = f"fine-tuned from {rows.parent}" if rows.parent is not None else f"{_plain(_model(rows))}, trained"
    ended = f" {run.state.capitalize()}: {_plain(run.problem['detail']).rstrip('.')}." if run.problem else ""
    return f"{name}{made} with {run.trainer}{dataset}.{ended}"


def _leak(rows: Mirrored) -> str:
    row = rows.version or rows.run
    return caveat_of(row.leak) if row is not None and row.leak else ""


def _places(rows: Mirrored) -> Iterator[tuple[str, str]]:
    """Our own pages of it, by the words of their links."""
    if rows.version is not None:
        path = f"/models/{rows.version.job_id or rows.version.project_id}/v{rows.version.number}"
        if REPORT in _artifact_names(rows.version):
            yield "Report", f"{path}/artifacts/{REPORT}"
        yield "Version", path
    if rows.run is not None:
        yield "Run", f"/runs/{rows.run.id}"
    if rows.job is not None:
        yield "Dataset", f"/jobs/{rows.job.id}"
    yield "Project", f"/projects/{rows.project.slug}"


def _artifact_names(version: VersionRow) -> set[str]:
    return {artifact["name"] for artifact in version.artifacts}


def _tags(rows: Mirrored) -> dict[str, str]:
    slug, version = rows.project.slug, rows.version
    tags = {"project": slug}
    if rows.run is not None:
        tags |= {"run": rows.run.id, "trainer": rows.run.trainer, "fingerprint": rows.run.fingerprint}
        tags |= {"job": rows.run.job_id}  # by which its copies are deleted
    if rows.job is not None:
        tags |= {"dataset": dataset_name(slug, rows.job.revision), "upload": rows.job.name}
    if rows.parent is not None:
        tags["parent"] = rows.parent
    if version is not None:
        tags |= {"version": f"v{version.number}", "trainer": version.trainer}
        tags |= {"origin": version.origin} if version.origin != "run" else {}
    return tags


def _results(measured: Mapping[str, Any]) -> list[str]:
    """The names of the numbers, those of FIRST_RESULTS first."""
    numbers = [name for name, value in measured.items() if _is_number(value)]
    first = [name for name in FIRST_RESULTS if name in numbers]
    return first + [name for name in numbers if name not in first]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> str:
    if not _is_number(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _table_row(cells: list[str]) -> str:
    first, *others = cells
    return f"| {first} | {' | '.join(cell if cell == '---' else _PAD + cell for cell in others)} |"


def _link(words: str, path: str, public_url: str) -> str:
    """Empty without an address that a browser elsewhere can reach."""
    return f"[{words}]({public_url.rstrip('/')}{path})" if public_url else ""


def _plain(text: str) -> str:
    """Without effect as Markdown, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _paragraphs(paragraphs: list[str]) -> str:
    return "\n\n".join(filter(None, paragraphs))
