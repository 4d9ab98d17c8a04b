"""`darkroom export`: a file that runs without the framework, with what was compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import version_views, views
from darkroom.cli.arguments import ModelArgument, WaitOption, target_of
from darkroom.cli.command import command
from darkroom.cli.commands.runs import followed_operation
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.next_steps import next_steps
from darkroom.cli.receiving import receive
from darkroom.cli.session import Session

if TYPE_CHECKING:
    from darkroom.schemas import Export

EXAMPLES = (
    ("darkroom export raccoons/v3 --format onnx", "waits for it, and prints its certificate"),
    ("darkroom export raccoons@production --format openvino --precision int8 --max-drop 0.01", "smaller and faster"),
    ("darkroom export raccoons/v3 --list", "all exports of a version, side by side"),
    ("darkroom export raccoons/v3 --out raccoons.onnx", "and downloads the file"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "export", panel="Models", examples=EXAMPLES)(export)


def export(
    session: Session,
    model: ModelArgument,
    format: Annotated[str, typer.Option("--format", help="onnx, openvino, torchscript or tensorrt.")] = "onnx",
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16, bf16 or int8.")] = "fp32",
    nms: Annotated[
        str, typer.Option("--nms", help="Whether the file suppresses boxes: inside or outside.")
    ] = "outside",
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="SHARE", help="How much lower its metric may be than the model's."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="PATH", help="Download the file there: a file or a folder.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the exports of the version instead.")] = False,
    wait: WaitOption = True,
) -> ExitCode:
    """Export a version, and print what was compared with the model.

    A file whose certificate did not pass is not downloaded, and its exit code is 1.
    """
    client = session.client
    version = client.models.get(model)
    if listed:
        found = client.exports.list(version)
        session.out.result(found, lambda: version_views.exports(found))
        return ExitCode.OK
    if out is not None and not wait:
        raise WrongUsage("--out needs the export to be waited for.", "Leave --no-wait out.")
    operation = client.exports.create(version, format=format, precision=precision, nms=nms, max_drop=max_drop)
    if not wait:
        session.out.result(operation, lambda: views.operation(operation))
        session.out.message(f"\nFollow it: darkroom watch {operation.operation_id}", style="dim")
        return ExitCode.OK
    ended = followed_operation(session, operation)
    if ended.state != "succeeded" or not ended.result:
        session.out.result(ended, lambda: views.operation(ended))
        return ExitCode.FAILED
    made = client.exports.get(version, str(ended.result["export_id"]))
    session.out.result(made, lambda: version_views.certificate(made))
    if not session.out.as_json:
        session.out.message(f"\n{next_steps(client.exports.list(version))}", style="dim")
    if not made.passed:
        return ExitCode.FAILED
    if out is not None:
        _download(session, version.name, made, target_of(out) or Path())
    return ExitCode.OK


def _download(session: Session, model: str, made: "Export", out: Path) -> None:
    path = receive(session, made.file_name, lambda on: session.client.exports.download(model, made, out, on_bytes=on))
    session.out.message(f"Saved as {path}; its sha256 is verified.")
