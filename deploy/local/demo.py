"""`make demo`: labelled images go in, models come out, over HTTP, on a private stack.

private stack -> drawn images (or your ZIP) -> upload -> prepare -> the test split is frozen -> train -> metrics ->
production -> the dataset grows by more drawn images, and the model is fine-tuned on it -> predictions of test images ->
both versions are compared on the frozen test set -> the new version takes over -> download -> stop.
demo_kinds.py holds what differs between the kinds of dataset, demo_steps.py what one step does, by the Python client.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from darkroom import Client, DarkroomError
from darkroom.desktop import open_page
from darkroom.schemas import Dataset, ModelVersion
from deploy.local import demo_steps as steps
from deploy.local import progress_display as display
from deploy.local.demo_kinds import DRAWN, KINDS, Drawn, Kind, project_of
from deploy.local.demo_predictions import LabelledImage, held_out_images
from deploy.local.private_stack import DemoFailed, PrivateStack, log_end, start_stack, stop_stack
from deploy.local.up import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--kind", default="detection", help=f"which images to draw: {' or '.join(DRAWN)}")
    parser.add_argument("--zip", type=Path, help="your own labelled images, of any kind, instead of drawn ones")
    parser.add_argument("--keep", action="store_true", help="leave the stack running")
    args = parser.parse_args()
    if args.kind not in DRAWN:
        print(f"Unknown kind {args.kind!r}. Known kinds: {', '.join(DRAWN)}.", file=sys.stderr)
        return 2
    if args.zip and not args.zip.is_file():
        print(f"File not found: {args.zip}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # as Ctrl-C: the stack is stopped on the way out
    return _run(_home(), DRAWN[args.kind], own=args.zip, keep=args.keep)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _home() -> Path:
    chosen = os.environ.get("DARKROOM_HOME")
    home = Path(chosen) if chosen else ROOT / ".darkroom" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    home.mkdir(parents=True, exist_ok=True)
    return home.resolve()


def _run(home: Path, drawn: Drawn, *, own: Path | None, keep: bool) -> int:
    started = time.monotonic()
    display.title("Darkroom demo", str(home))
    stack = start_stack(home)
    kept = False
    try:
        passed = walk(stack, home, drawn, own=own, keep=keep)
        kept = keep
    except (DemoFailed, DarkroomError) as failure:
        display.failure(str(failure), log=stack.log, log_end=log_end(stack))
        return 1
    except KeyboardInterrupt:
        display.console.print("\nStopping ...")
        return 130
    finally:
        if not kept:
            stop_stack(stack)
    display.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    if not passed:
        name, least = drawn.wanted
        display.console.print(f"[bold red]{name} on the test split is below {least}.[/]")
    return 0 if passed else 1


def walk(stack: PrivateStack, home: Path, drawn: Drawn, *, own: Path | None, keep: bool) -> bool:
    """Every step from upload to prediction. Returns False when a model of drawn images misses `drawn.wanted`."""
    archives = [own] if own else steps.draw(home, drawn)
    project = project_of(own) if own else drawn.project
    steps.start(stack)
    with Client(stack.api_url) as client:
        held_out = None if own else drawn.held_out
        dataset = steps.add_dataset(client, archives[0], project=project, held_out=held_out)
        kind = KINDS[str(dataset.kind)]
        if not own:
            steps.freeze(client, dataset)
        version = steps.train(client, dataset, kind, kind.own_params(dataset.images or 1) if own else drawn.params)
        first = steps.measured(version)
        kind.show_metrics(first)
        steps.promote(client, version)
        images, datasets = held_out_images(client, dataset), [dataset]
        if own:
            steps.export(client, version)
            served = steps.predict(client, project, images)
        else:
            more, version, served = _go_on(client, archives[1], dataset, drawn, kind, version, images)
            datasets.append(more)
        steps.list_versions(client, project, datasets)
        files = [("prediction", steps.draw_prediction(client, project, dataset, images, home))] if served else []
        files += steps.download(client, project, home, kind)
        files.append(("lineage", steps.draw_lineage(client, project, home)))
        if keep:
            version = steps.with_mlflow_run(client, version)
    display.locations([*files, *_locations(stack, home, version, keep=keep)])
    if keep:
        open_page(_page(stack, version))
    name, least = drawn.wanted
    return own is not None or (bool(served) and first["test"][name] >= least)


def _go_on(
    client: Client,
    archive: Path,
    before: Dataset,
    drawn: Drawn,
    kind: Kind,
    first: ModelVersion,
    images: Sequence[LabelledImage],
) -> tuple[Dataset, ModelVersion, str]:
    """The dataset that extends `before`, the version that is fine-tuned on it from the first one, and its name once it
    answers for `production`; an empty string where it is not served.
    """
    display.title("More images arrive", f"{first.name} is fine-tuned with them, and answers until its successor does")
    dataset = steps.add_dataset(client, archive, extends=before)
    version = steps.train(client, dataset, kind, {**drawn.tuning, "model": first.version})
    steps.export(client, first)
    served = steps.predict(client, drawn.project, images)
    steps.export(client, version)
    steps.compare(client, first, version, metric=drawn.wanted[0])
    if served:
        steps.switch(client, version, images)
        served = steps.predict(client, drawn.project, images)
    return dataset, version, served


def _page(stack: PrivateStack, version: ModelVersion) -> str:
    return f"{stack.api_url}/ui/projects/{version.project}"


def _locations(stack: PrivateStack, home: Path, version: ModelVersion, *, keep: bool) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("all files", home), ("log", stack.log)]
    if keep:
        rows += [
            ("page", _page(stack, version)),
            ("API", f"{stack.api_url}/docs"),
            ("lineage", f"{stack.api_url}/projects/{version.project}/lineage?format=svg"),
            ("predictions", f"{stack.api_url}/predict/image?model={version.project}"),
            ("MLflow", (version.mlflow and version.mlflow.link) or stack.mlflow_url),
            ("to stop it", "make down"),
        ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
