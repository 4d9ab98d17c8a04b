"""`darkroom predict --batch`: many images in the background, and their results as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli import views
from darkroom.cli.archives import archive_of
from darkroom.cli.arguments import DATASET, JOB, job_of, target_of
from darkroom.cli.commands.runs import followed_operation
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.receiving import receive
from darkroom.cli.session import Session
from darkroom.cli.tables import Facts, styled
from darkroom.cli.text import safe

if TYPE_CHECKING:
    from darkroom.schemas import Batch

FORMATS = ("jsonl", "csv", "coco", "coco-results", "zip")
LISTED = 10  # classes


@dataclass(frozen=True)
class BatchRequest:
    """`images`: a dataset, a ZIP, a folder, or URLs."""

    model: str
    images: Sequence[str]
    split: str | None
    format: str
    out: str
    wait: bool
    options: Mapping[str, Any]


def predict_batch(session: Session, request: BatchRequest) -> ExitCode:
    """Follows the batch, and saves its results."""
    if request.format not in FORMATS:
        raise WrongUsage(f"There is no format {request.format}.", f"The formats are {', '.join(FORMATS)}.")
    target = target_of(request.out) or Path()
    batch = _created(session, request)
    if not request.wait:
        session.out.result(batch, lambda: _view(batch))
        session.out.message(f"\nFollow it: darkroom watch {batch.operation_id}", style="dim")
        return ExitCode.OK
    ended = followed_operation(session, session.client.operations.get(batch.operation_id))
    if ended.state != "succeeded":
        session.out.result(ended, lambda: views.operation(ended))
        return ExitCode.FAILED
    done = session.client.batches.get(batch)
    name = f"predictions ({request.format})"
    path = receive(
        session,
        name,
        lambda on: session.client.batches.download(done, target, format=request.format, on_bytes=on),
    )
    session.out.result({"batch": done, "path": str(path)}, lambda: _view(done, path))
    return ExitCode.FAILED if (done.summary or {}).get("failed") else ExitCode.OK


def _created(session: Session, request: BatchRequest) -> "Batch":
    create = session.client.batches.create
    first, *more = request.images
    if first.startswith(("http://", "https://")):
        return create(request.model, urls=list(request.images), **request.options)
    if more:
        raise WrongUsage("--batch takes one dataset, one ZIP, one folder, or URLs.")
    if Path(first).exists():
        with archive_of(session, Path(first)) as archive:
            return create(request.model, archive=archive, **request.options)
    if not DATASET.fullmatch(first) and not JOB.fullmatch(first):
        raise WrongUsage(f"{first} is neither a file, nor a folder, nor a dataset.", "A dataset is raccoons/d2.")
    return create(request.model, dataset=job_of(session.client, first), split=request.split, **request.options)


def _view(batch: "Batch", path: Path | None = None) -> Facts:
    found = batch.summary or {}
    pairs: dict[str, Any] = {"batch": batch.operation_id, "model": styled(batch.model, "bold"), "state": batch.state}
    if found:
        pairs["images"] = f"{found.get('images', 0)}, of which {found.get('failed', 0)} could not be predicted"
        classes: Mapping[str, int] = found.get("classes") or {}
        most = sorted(classes.items(), key=lambda each: -each[1])[:LISTED]
        pairs["classes"] = ", ".join(f"{name} {count}" for name, count in most) or "-"
    for each in (found.get("failures") or [])[:LISTED]:
        pairs[safe(each.get("image"))] = styled(each.get("error"), "red")
    if path is not None:
        pairs["saved"] = styled(path, "bold")
    return Facts(pairs)
