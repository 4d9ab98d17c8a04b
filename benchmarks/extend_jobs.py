"""A revision beside its whole, as jobs: `python -m benchmarks.extend_jobs [--images 5000 --added 100 --size 1280x960]`.

A private stack in a home of its own (SQLite, objects in a folder) prepares a made set of photographs, then the whole
with the added images as another upload, then two revisions, one after the other: images that extend the first set,
and others that extend the set made of these. So with a job's other parts than its children, which `benchmarks.extend`
measures: ZIP and tar from and to the store, and rows.
One JSON line. The seconds of a job are from `started_at` of its record, when a worker claimed it, to `finished_at`,
when it was ready; those of its stages, in their order, are between its events. Uploads are not in them: theirs are from
the first byte that the client reads until the job exists. Needs twelve times the bytes of the whole on the disk.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.image_sets import write_set
from benchmarks.revisions import parser_of, write_parts
from benchmarks.stack import wait_until_ready
from darkroom import Client, DarkroomError
from darkroom.schemas import Dataset
from deploy.local.private_stack import log_end, start_stack, stop_stack

COPIES = 12  # at the most on the disk at once, of the whole: sources and tars of four jobs, and work in progress
SAMPLED = 8  # images


class Job(NamedTuple):
    """In seconds; `stages` in their order, a name may come twice."""

    dataset: Dataset
    uploaded: float
    worked: float
    stages: list[tuple[str, float]]


def main() -> int:
    args = parser_of(__doc__).parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the stack is stopped on the way out
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        _require_free(folder, args.images + args.added, args.size)
        parts = write_parts(folder, images=args.images, added=args.added, size=args.size, stored=not args.deflated)
        size = parts.whole.stat().st_size
        home = folder / "home"
        home.mkdir()
        database, store = f"sqlite:///{home}/darkroom.db", f"file://{home}/store"
        os.environ |= {"DARKROOM_DATABASE_URL": database, "DARKROOM_STORE_URL": store}  # not those of a user
        stack = start_stack(home)
        try:
            wait_until_ready(stack, time.monotonic())
            with Client(stack.api_url) as client:
                first = _job(client, parts.first).dataset
                whole = _job(client, parts.whole)
                revision = _job(client, parts.more, extends=first)
                later = _job(client, parts.later, extends=revision.dataset)
        except DarkroomError as failure:
            raise SystemExit(f"{failure}\n{log_end(stack)}") from failure
        finally:
            stop_stack(stack)
    assert whole.dataset.fingerprint != revision.dataset.fingerprint, "the revision's tar was there already"
    row = {
        "benchmark": "extend_jobs",
        "images": args.images,
        "added": args.added,
        "whole_images": whole.dataset.images,
        "revision_images": revision.dataset.images,
        "pixels": args.size,
        "deflated": args.deflated,
        "bytes": size,
        "whole_seconds": round(whole.worked, 2),
        "first_seconds": round(revision.worked, 2),
        "next_seconds": round(later.worked, 2),
        "first_ratio": round(revision.worked / whole.worked, 3),
        "next_ratio": round(later.worked / whole.worked, 3),
        "whole_stages": whole.stages,
        "first_stages": revision.stages,
        "next_stages": later.stages,
        "whole_upload_seconds": round(whole.uploaded, 2),
        "revision_upload_seconds": round(revision.uploaded, 2),
    }
    print(json.dumps(row))
    return 0


def _require_free(folder: Path, images: int, size: tuple[int, int]) -> None:
    sample = folder / "sample.zip"
    write_set(sample, images=SAMPLED, size=size)
    needed, free = COPIES * images * sample.stat().st_size // SAMPLED, shutil.disk_usage(folder).free
    sample.unlink()
    if free < needed:
        raise SystemExit(
            f"{folder} has {free / 1e9:.1f} GB free and needs {needed / 1e9:.1f} GB; TMPDIR names another."
        )


def _job(client: Client, archive: Path, *, extends: Dataset | None = None) -> Job:
    """Removes `archive` once the service has it. Raises WorkFailed where the job does not become ready."""
    started = time.monotonic()
    received = client.datasets.upload(archive, extends=extends, wait=False, records=archive.parent)
    uploaded = time.monotonic() - started
    archive.unlink()
    ready = client.datasets.wait(received)
    assert ready.attempt == 1 and ready.started_at and ready.finished_at, "it was prepared more than once"
    return Job(ready, uploaded, (ready.finished_at - ready.started_at).total_seconds(), _stages(client, ready))


def _stages(client: Client, dataset: Dataset) -> list[tuple[str, float]]:
    events = list(client.datasets.events(dataset))
    begun = [(str(event.data["stage"]), event.at) for event in events if event.data.get("stage")]
    begun.append(("", events[-1].at))
    return [(stage, round((until - since).total_seconds(), 2)) for (stage, since), (_, until) in pairwise(begun)]


if __name__ == "__main__":
    sys.exit(main())
