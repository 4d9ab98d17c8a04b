"""`darkroom predict`: what a model sees in images: a table, a drawing, a receipt."""

from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli.arguments import ModelArgument, WaitOption, target_of
from darkroom.cli.command import command
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from darkroom.cli.images import Image
    from darkroom.cli.predicting import Predictor
    from darkroom.schemas import Prediction

EXAMPLES = (
    ("darkroom predict raccoons photo.jpg", "boxes or classes; drawn in the terminal where it can"),
    ("darkroom predict raccoons@production photos/ --draw drawn/", "a folder; drawings go to another"),
    ("darkroom predict raccoons/v3 photo.jpg --draw out.jpg --receipt receipt.json", "with what makes the same answer"),
    ("darkroom predict raccoons https://example.com/photo.jpg", "a URL, where the operator allows its host"),
    ("darkroom predict raccoons aerial.jpg --tile 640 --overlap 0.2", "a large image, in tiles"),
    ("darkroom predict raccoons photos/ --json", "one document for a program"),
    ("darkroom predict raccoons raccoons/d2 --batch --split test --format coco", "a dataset, in the background"),
    ("darkroom predict raccoons photos/ --batch --format zip --out done/", "labelled images, to correct and upload"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "predict", panel="Predictions", examples=EXAMPLES)(predict)


def predict(
    session: Session,
    model: ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Files, folders or URLs; for --batch also a ZIP or a dataset."),
    ],
    draw: Annotated[
        str | None,
        typer.Option("--draw", metavar="PATH", help="Draw into copies: a file, or a folder for several images."),
    ] = None,
    receipt: Annotated[
        str | None, typer.Option("--receipt", metavar="PATH", help="Write what makes the same answer again, as JSON.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            "--confidence", metavar="SCORE", min=0, max=1, help="Lowest score; by default as the version was certified."
        ),
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(
            "--iou", metavar="IOU", min=0, max=1, help="Above it the lower of two boxes goes; by default as certified."
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="How many classes of a classifier.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option("--tile", metavar="PIXELS", min=1, help="Predict a large image in tiles of so many pixels."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option("--overlap", metavar="SHARE", min=0, max=1, help="Share of a tile's width that neighbours share."),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview/--no-preview", help="Draw one image in the terminal, where it can.")
    ] = True,
    batch: Annotated[bool, typer.Option("--batch", help="Predict many images in the background, into a file.")] = False,
    split: Annotated[str | None, typer.Option("--split", help="With --batch: one split of the dataset.")] = None,
    format: Annotated[
        str, typer.Option("--format", help="With --batch: jsonl, csv, coco, coco-results, or a labelled zip.")
    ] = "jsonl",
    out: Annotated[
        str, typer.Option("--out", metavar="PATH", help="With --batch: a file, or a folder with a slash at its end.")
    ] = "./",
    wait: WaitOption = True,
) -> ExitCode:
    """Predict images with a model.

    An image that cannot be predicted is named; the others are answered, and the exit code is 1.
    """
    from darkroom.cli import prediction_views as views
    from darkroom.cli.images import find_images
    from darkroom.cli.predicting import Predictor

    named = {"confidence": confidence, "iou": iou, "top": top, "tile": tile, "overlap": overlap}
    options = {name: value for name, value in named.items() if value is not None}
    if batch:
        from darkroom.cli.batching import BatchRequest, predict_batch

        return predict_batch(session, BatchRequest(model, images, split, format, out, wait, options))
    found = find_images(images)
    targets = {"--draw": target_of(draw), "--receipt": target_of(receipt)}
    _check_targets(found, targets)
    predictor = Predictor(session.client, model, options)
    predictions = _predicted(session, predictor, found, wants_receipt=receipt is not None)
    session.out.result(
        {"model": predictions[0].model, "images": predictor.answers(found, predictions)},
        lambda: views.predictions([image.name for image in found], predictions),
    )
    if (target := targets["--receipt"]) is not None:
        for path in predictor.write_receipts(found, predictions, target):
            session.out.message(f"Receipt: {safe(path)}", style="dim")
    if (target := targets["--draw"]) is not None:
        for path in predictor.draw(found, predictions, target):
            session.out.message(f"Drawn: {safe(path)}", style="dim")
    elif preview and len(found) == 1 and predictions[0].error is None:
        _preview(session, predictor, found[0])
    if failed := sum(each.error is not None for each in predictions):
        session.out.message(f"{counted(failed, 'image')} could not be predicted.", style="red")
        return ExitCode.FAILED
    return ExitCode.OK


def _predicted(
    session: Session, predictor: "Predictor", images: "list[Image]", *, wants_receipt: bool
) -> "list[Prediction]":
    with session.out.progress() as progress:
        task = progress.add_task("Predict", total=len(images))
        made = []
        for each in predictor.predict(images, receipt=wants_receipt):
            made.append(each)
            progress.advance(task)
    return made


def _preview(session: Session, predictor: "Predictor", image: "Image") -> None:
    """An image in the terminal, for a person."""
    from darkroom.cli.terminal_images import can_draw, image_text

    out = session.out
    if out.as_json or out.quiet or not can_draw() or image.path is None:
        return
    if text := image_text(predictor.drawn(image), columns=out.stdout.width):
        out.stdout.file.write(f"\n{text}")


def _check_targets(images: "list[Image]", targets: "Mapping[str, Path | None]") -> None:
    """Several images need a folder; none is overwritten."""
    from darkroom.cli.predicting import SUFFIXES, places

    for option, path in targets.items():
        if path is None:
            continue
        if len(images) > 1 and path.suffix and not path.is_dir():
            raise WrongUsage(f"{option} {path}: {len(images)} images need a folder.", f"For example {option} out/")
        places(images, path, SUFFIXES[option])
