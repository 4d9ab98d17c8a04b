"""`darkroom upload`: a ZIP or a folder becomes a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli import views
from darkroom.cli.archives import archive_of
from darkroom.cli.arguments import OptionOption, ProjectOption, WaitOption, dataset_options
from darkroom.cli.command import command
from darkroom.cli.commands.runs import watch_dataset
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.text import safe, size

if TYPE_CHECKING:
    from darkroom.schemas import Dataset

EXAMPLES = (
    ("darkroom upload raccoons.zip --project raccoons", "the next dataset of the project"),
    ("darkroom upload photos/ --project raccoons", "a folder, as a ZIP that is made on the fly"),
    ("darkroom upload raccoons.zip --option seed=7 --option val_fraction=0.2", "options as in POST /upload-dataset"),
    ("darkroom upload more.zip --extends raccoons/d1", "what is there and what is new, as the next dataset"),
    ("darkroom upload raccoons.zip --no-wait --json", "returns when the bytes have arrived"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "upload", panel="Datasets", examples=EXAMPLES)(upload)


def upload(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A ZIP, or a folder of images and labels.")],
    project: ProjectOption = None,
    extends: Annotated[
        str | None, typer.Option("--extends", metavar="DATASET", help="The dataset that it is added to.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the source; by default that of the file.")] = None,
    option: OptionOption = None,
    preflight: Annotated[
        bool, typer.Option("--preflight/--no-preflight", help="Check the ZIP's directory before it is sent.")
    ] = True,
    wait: WaitOption = True,
) -> ExitCode:
    """Upload a dataset, and follow its preparation.

    An interrupted upload continues where it was: run the same command again. Findings are listed at the end.
    """
    if not path.exists():
        raise WrongUsage(f"There is no {safe(path)}.", "Name a ZIP, or a folder of images and labels.")
    options = dataset_options(option or ()) | ({"name": name} if name else {})
    with archive_of(session, path) as archive:
        if preflight and not _accepted(session, archive, is_addition=extends is not None):
            return ExitCode.FAILED
        dataset = _sent(session, archive, project, options, extends)
    if not wait:
        session.out.result(dataset, lambda: views.dataset(dataset))
        session.out.message(f"It is prepared in the background: darkroom watch {dataset.job_id}")
        return ExitCode.OK
    return watch_dataset(session, dataset)


def _accepted(session: Session, archive: Path, *, is_addition: bool) -> bool:
    from darkroom.uploads import accepted_as_addition

    found = session.client.datasets.preflight(archive)
    if accepted_as_addition(found) if is_addition else found.accepted:
        return True
    session.out.result(found, lambda: views.findings(found.findings))
    session.out.message("Nothing was sent: the service would refuse this ZIP.", style="red")
    return False


def _sent(
    session: Session, archive: Path, project: str | None, options: dict[str, Any], extends: str | None
) -> "Dataset":
    from darkroom.uploads import UploadProgress

    with session.out.progress(in_bytes=True) as progress:
        task = progress.add_task("Check", total=archive.stat().st_size)
        stage = "sha256"

        def on_progress(at: UploadProgress) -> None:
            nonlocal stage, task
            if at.stage != stage:  # a bar of its own: the speed of reading is not that of sending
                stage = at.stage
                progress.remove_task(task)
                task = progress.add_task("Upload", total=at.total_bytes, completed=at.done_bytes)
                if at.resumed:
                    session.out.message(f"An earlier upload continues at {size(at.done_bytes)}.", style="dim")
            progress.update(task, completed=at.done_bytes)

        try:
            return session.client.datasets.upload(
                archive,
                project=project,
                extends=extends,
                preflight=False,
                wait=False,
                on_progress=on_progress,
                **options,
            )
        except KeyboardInterrupt:
            session.out.message("Interrupted. The same command continues the upload.")
            raise
