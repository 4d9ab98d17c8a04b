"""Answers of the service as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.cli.tables import Column, Facts, Rows, state, styled
from darkroom.cli.text import age, counted, duration, figure, safe, size

if TYPE_CHECKING:
    from rich.text import Text

    from darkroom.schemas.datasets import Dataset, Finding
    from darkroom.schemas.projects import Project
    from darkroom.schemas.runs import Operation, Run

SEVERITIES = {"error": "red", "warning": "yellow", "note": "cyan"}


def projects(items: "Sequence[Project]") -> Rows:
    columns = (
        Column("project", style="bold"),
        Column("kind"),
        Column("datasets", right=True),
        Column("runs", right=True, from_width=90),
        Column("versions", right=True),
        Column("production"),
        Column("last activity", from_width=80),
    )
    cells = [
        (
            *(each.project, each.kind or "-", str(each.datasets), str(each.runs), str(each.versions)),
            _production(each),
            age(each.last_activity_at),
        )
        for each in items
    ]
    return Rows(columns, cells, empty="No projects. The first `darkroom upload FILE --project NAME` makes one.")


def datasets(items: "Sequence[Dataset]") -> Rows:
    columns = (
        Column("dataset", style="bold", whole=True),
        Column("state"),
        Column("images", right=True),
        Column("classes", right=True, from_width=100),
        Column("findings", from_width=100),
        Column("made", from_width=110),
        Column("job", whole=True),
        Column("source", from_width=130),
    )
    cells = [
        (
            *(each.dataset, _state_of(each), _number(each.images), _number(each.class_count), finding_counts(each)),
            *(age(each.created_at), each.job_id, f"{each.source.name}, {size(each.source.bytes)}"),
        )
        for each in items
    ]
    return Rows(columns, cells, empty="No datasets. `darkroom upload FILE` sends one.")


def dataset(found: "Dataset") -> Facts:
    pairs: dict[str, str | Text] = {
        "dataset": styled(found.dataset, "bold"),
        "job": found.job_id,
        "state": _state_of(found),
        "source": f"{found.source.name}, {size(found.source.bytes)}",
    }
    if found.kind:
        pairs["kind"] = f"{found.kind}, {found.format}"
    if found.images is not None:
        named = ", ".join(found.classes or ())
        pairs["images"] = str(found.images)
        pairs["classes"] = f"{found.class_count}: {named}"[:400]
    if found.findings is not None:
        pairs["findings"] = finding_counts(found)
    if found.fingerprint:
        pairs["fingerprint"] = found.fingerprint
    if found.problem is not None:
        pairs["problem"] = styled(found.problem.text, "red")
    return Facts(pairs)


def findings(items: "Sequence[Finding]", *, total: int | None = None) -> Rows:
    columns = (
        Column("severity"),
        Column("code"),
        Column("finding", wraps=True),
        Column("file", wraps=True),
        Column("line", right=True),
        Column("detail", wraps=True, from_width=120, below=True),
        Column("remedy", wraps=True),
    )
    cells = [
        (
            styled(each.severity, SEVERITIES.get(each.severity, "")),
            *(each.code, each.title or "-", each.path or "-", _number(each.line), each.detail, each.remedy),
        )
        for each in items
    ]
    more = f"Findings: the first {len(items)} of {total}" if total and total > len(items) else ""
    return Rows(columns, cells, title=more, empty="No findings: nothing is wrong with it.")


def runs(items: "Sequence[Run]") -> Rows:
    columns = (
        Column("run", style="bold", whole=True),
        Column("state"),
        Column("project"),
        Column("trainer", from_width=110),
        Column("progress"),
        Column("version", from_width=90),
        Column("queued", from_width=110),
    )
    cells = [
        (
            *(each.run_id, state(each.state), each.project, each.trainer, run_progress(each)),
            *(f"v{each.version}" if each.version else "-", age(each.created_at)),
        )
        for each in items
    ]
    return Rows(columns, cells, empty="No runs. `darkroom train PROJECT --watch` starts one.")


def run(found: "Run") -> Facts:
    pairs: dict[str, str | Text] = {
        "run": styled(found.run_id, "bold"),
        "state": state(found.state),
        "project": found.project,
        "trainer": found.trainer,
        "progress": run_progress(found),
    }
    if found.parent:
        pairs["made from"] = found.parent.name
    if found.version:
        pairs["version"] = f"{found.project}/v{found.version}"
    pairs |= _ending(found)
    return Facts(pairs)


def outcome(found: "Run") -> Facts:
    """Of a run that was drawn: what the drawing does not say."""
    pairs: dict[str, str | Text] = {"project": found.project}
    return Facts(pairs | _ending(found))


def operation(found: "Operation") -> Facts:
    pairs: dict[str, str | Text] = {
        "operation": styled(found.operation_id, "bold"),
        "kind": found.kind,
        "state": state(found.state),
    }
    if found.problem is not None:
        pairs["problem"] = styled(found.problem.text, "red")
    return Facts(pairs)


def finding_counts(found: "Dataset") -> str:
    """`3 errors, 12 warnings`."""
    totals: dict[str, int] = {}
    for each in (found.findings or {}).values():
        totals[each.severity] = totals.get(each.severity, 0) + each.count
    return ", ".join(counted(totals[name], name) for name in SEVERITIES if name in totals) or "none"


def total_findings(found: "Dataset") -> int:
    return sum(each.count for each in (found.findings or {}).values())


def run_progress(found: "Run") -> str:
    progress = found.progress or {}
    if not progress.get("epoch"):
        return found.stage or "-"
    text = f"epoch {progress['epoch']}/{progress['epochs']}"
    if left := progress.get("seconds_left"):
        text += f", {duration(left)} left" if found.state == "running" else ""
    return text


def _ending(found: "Run") -> "dict[str, str | Text]":
    """Notes, the problem, and how long it took."""
    pairs: dict[str, str | Text] = {safe(topic): str(note) for topic, note in (found.notes or {}).items()}
    if found.problem is not None:
        pairs["problem"] = styled(found.problem.text, "red")
    if found.started_at and found.finished_at:
        pairs["took"] = duration((found.finished_at - found.started_at).total_seconds())
    return pairs


def _production(project: "Project") -> "str | Text":
    found = project.production
    if found is None:
        return "-"
    name, value = next(iter(found.metrics.items()), ("", None))
    return f"{found.version}  {name} {figure(value)}" if name else found.version


def _state_of(found: "Dataset") -> "Text":
    text = state(found.state)
    if found.state == "preparing" and found.stage:
        text.append(f" ({safe(found.stage)})")
    return text


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
