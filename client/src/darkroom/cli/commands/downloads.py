"""`darkroom download` and `open`: files, and addresses for a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import completion
from darkroom.cli.arguments import DATASET, job_of, target_of
from darkroom.cli.command import command
from darkroom.cli.failures import WrongUsage
from darkroom.cli.receiving import receive
from darkroom.cli.session import Session
from darkroom.cli.tables import Facts, styled
from darkroom.cli.text import safe, size

if TYPE_CHECKING:
    from darkroom.files import OnBytes

What = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|DATASET",
        help="raccoons, raccoons/v3, raccoons@production; or a dataset: raccoons/d2.",
        autocompletion=completion.complete_model,
    ),
]


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "download",
        panel="Models",
        examples=(
            ("darkroom download raccoons@production", "the weights; their sha256 is verified"),
            ("darkroom download raccoons/v3 --bundle --out models/", "one ZIP: weights, ONNX, certificate, model card"),
            ("darkroom download raccoons/v3 --artifact metrics.json", "one of its files"),
            ("darkroom download raccoons/d2", "a prepared dataset"),
            ("darkroom download raccoons/d2 --source", "the ZIP as it was uploaded"),
        ),
    )(download)
    command(
        app,
        "export-dataset",
        panel="Datasets",
        examples=(
            (
                "darkroom export-dataset raccoons/d2 --format coco",
                "waits for it, saves it, says what was lost",
            ),
            ("darkroom export-dataset raccoons/d2 --format yolo --arrange splits", "images/train, images/val, ..."),
            (
                "darkroom export-dataset actions/d1 --format hf --out hub/",
                "Parquet files, for a Hugging Face hub",
            ),
        ),
    )(export_dataset)


def download(
    session: Session,
    what: What,
    out: Annotated[
        str, typer.Option("--out", metavar="PATH", help="A file, or a folder with a slash at its end.")
    ] = "./",
    bundle: Annotated[bool, typer.Option("--bundle", help="One ZIP with all that a user of the model needs.")] = False,
    artifact: Annotated[
        str | None, typer.Option("--artifact", metavar="NAME", help="One file of the version, by its name.")
    ] = None,
    dataset: Annotated[bool, typer.Option("--dataset", help="The prepared dataset of a job or of a project.")] = False,
    source: Annotated[bool, typer.Option("--source", help="The ZIP that a dataset was made from.")] = False,
) -> None:
    """Download a model, a bundle or a dataset.

    A connection that breaks is continued, by the same command also later, and the sha256 is verified.
    """
    if sum((bundle, artifact is not None, dataset or source)) > 1:
        raise WrongUsage("Choose one of --bundle, --artifact, --dataset and --source.")

    target = target_of(out) or Path()

    def save(on_bytes: "OnBytes") -> Path:
        client = session.client
        if source:
            return client.datasets.download_source(job_of(client, what), target, on_bytes=on_bytes)
        if dataset or DATASET.fullmatch(what):
            return client.datasets.download(job_of(client, what), target, on_bytes=on_bytes)
        if bundle:
            return client.models.bundle(what, target, on_bytes=on_bytes)
        if artifact is not None:
            return client.models.artifact(what, artifact, target, on_bytes=on_bytes)
        return client.models.download(what, target, on_bytes=on_bytes)

    path = receive(session, what, save)
    length = path.stat().st_size
    session.out.result(
        {"path": str(path), "bytes": length},
        lambda: Facts({"saved": styled(path, "bold"), "size": f"{size(length)}, sha256 verified"}),
    )


def export_dataset(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="raccoons/d2, a project, or the id of a job.")],
    format: Annotated[str, typer.Option("--format", help="Boxes: coco, voc, yolo, hf. Classes: folders, hf.")],
    arrange: Annotated[
        str, typer.Option("--arrange", help="yolo, folders: keep the paths, or a folder of each split (splits).")
    ] = "paths",
    out: Annotated[
        str, typer.Option("--out", metavar="PATH", help="A file, or a folder with a slash at its end.")
    ] = "./",
) -> None:
    """Download a dataset in a format that others read: images as they were uploaded, boxes or classes, splits."""
    client = session.client
    job_id, target = job_of(client, dataset), target_of(out) or Path()
    path = receive(
        session, dataset, lambda on: client.datasets.export(job_id, format, target, arrange=arrange, on_bytes=on)
    )
    made = next(each for each in client.datasets.exports(job_id) if (each.format, each.arrange) == (format, arrange))
    lost = "; ".join(f"{loss.code} ({loss.count}): {loss.detail}" for loss in made.losses) or "nothing"
    session.out.result(
        {"path": str(path), "bytes": made.bytes, "losses": [vars(loss) for loss in made.losses]},
        lambda: Facts(
            {"saved": styled(path, "bold"), "size": f"{size(made.bytes)}, sha256 verified", "lost": safe(lost)}
        ),
    )
