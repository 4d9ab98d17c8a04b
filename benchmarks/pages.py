"""How fast the pages are: `python -m benchmarks.pages [--rounds 15] [--only TEXT]`.

The API over SQLite with 10,000 jobs in 500 projects, a dataset of 50,000 images with a run of 300 epochs in 50 hours
and a version, a project of 40 datasets of 1,000 classes and 2,000 versions, and Chromium. Of every page of the router:
the time of its answer, as a program on the same machine measures it, and the processor time of the API for it; when the
browser first paints something of it, with nothing cached; the bytes of its scripts and styles, compressed. The first
row is a line of plain text: no page is painted sooner than that. Prints a table in Markdown. Exit status 1 when a
figure misses its goal.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psutil
from playwright.sync_api import Browser
from sqlalchemy import insert

from benchmarks.images import FINDING, add_set, made_rows, serving
from benchmarks.load_rows import METRICS, fill, fill_wide
from core.db.migrate import upgrade
from core.db.tables import EventRow, JobRow, RunRow, VersionRow
from core.domain.keys import artifact_key, metadata_key
from core.services.context import Platform, open_platform
from core.services.jobs.commands import get_job
from core.services.runs.lifecycle import PublishedArtifact, publish_version
from core.services.work.leases import report_progress
from core.settings import Settings
from pipeline.samples.scenes import write_archive
from tests.browser import pages
from tests.builders import published, rows
from tests.builders.prepared import prepared_job
from tests.servers.chromium import chromium

SERVER_MS, PAINT_MS, ASSETS_KB = 50.0, 500.0, 200.0
JOBS, PROJECTS, IMAGES, EPOCHS, SAMPLES = 10_000, 500, 50_000, 300, 12_000
PROJECT, WIDE = "harbour-cameras", "species"
FLOOR = "a line of plain text"
PAINTED = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (each.name === "first-contentful-paint") resolve(each.startTime);
}).observe({type: "paint", buffered: true}))"""
ASSETS = """() => performance.getEntriesByType("resource").filter((each) => /\\.(js|css)$/.test(each.name))
  .reduce((sum, each) => sum + each.encodedBodySize, 0)"""


@dataclass(frozen=True)
class Figures:
    """Milliseconds and kilobytes; `painted` and `assets` are None for a part of a page."""

    template: str
    server: float
    processor: float
    painted: float | None
    assets: float | None

    def is_good(self) -> bool:
        return self.server < SERVER_MS and (self.painted or 0) < PAINT_MS and (self.assets or 0) < ASSETS_KB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="requests of each page")
    parser.add_argument("--paints", type=int, default=3, help="how often the browser opens each page")
    parser.add_argument("--only", default="", help="pages whose address contains this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        home = Path(name)
        examples = seed(home)
        with serving(home) as (client, api), chromium() as browser:
            found = [
                measure(client, api, browser, template, address, args.rounds, args.paints)
                for template, address in _addresses(examples)
                if args.only in address or template == FLOOR
            ]
    print("\n".join(_table(found)))
    return 0 if all(each.is_good() for each in found) else 1


def seed(home: Path) -> dict[str, str]:
    """Examples of what the addresses of pages name."""
    settings = Settings(home=home, database_url=f"sqlite:///{home}/darkroom.db")
    upgrade(settings.database)
    platform = open_platform(settings)
    fill(platform.db, jobs=JOBS, runs=JOBS // 5, versions=JOBS // 10, projects=PROJECTS)
    images = list(made_rows(IMAGES))
    before = add_set(platform, home, images[: -IMAGES // 50], b"no images", project=PROJECT)
    after = add_set(platform, home, images, b"no images", project=PROJECT)
    version = _train(platform, after.id)
    _train(platform, after.id)
    wide = fill_wide(platform.db, WIDE)
    _store_metadata(platform, home, (before, after, get_job(platform.db, wide)))
    with platform.db.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    platform.db.close()
    return {
        **{"project": PROJECT, "job_id": after.id, "run_id": str(version.run_id), "slug": "job-not-ready"},
        **{"a": before.id, "b": after.id, "before": before.id, "after": after.id},
        **{"n": "1", "number": "1", "version": "v1", "sha256": images[0].sha256, "wide": wide},
    }


def _store_metadata(platform: Platform, home: Path, jobs: Sequence[JobRow]) -> None:
    """That of a small dataset, whose form is the same, with as many classes as the dataset has."""
    write_archive(home / "scenes.zip", scenes=20, seed=0)
    small = prepared_job(platform, home / "scenes.zip", project="scenes")
    metadata = json.loads(b"".join(platform.store.open(str(small.metadata_key))))
    counts = next(iter(metadata["per_class"].values()))
    for job in jobs:
        per_class = dict.fromkeys(job.classes or (), counts)
        content = json.dumps(metadata | {"classes": job.classes, "per_class": per_class}).encode()
        published.put(platform, metadata_key(job.id, 1), content)


def _train(platform: Platform, job_id: str) -> VersionRow:
    """By a run of EPOCHS epochs and SAMPLES samples of the machine."""
    claim = rows.running_run(platform, job_id, lease=3600)
    _sample(platform, claim.id)
    for epoch in range(1, EPOCHS + 1):
        losses = {f"{split}/{loss}": 2.0 / epoch for split in ("train", "val") for loss in ("box", "cls", "dfl")}
        metrics = {"mAP50": 0.9 - 0.5 / epoch, "mAP50-95": 0.6 - 0.4 / epoch, **losses}
        progress = {"epoch": epoch, "epochs": EPOCHS, "metrics": metrics, "seconds_left": 1.0 * (EPOCHS - epoch)}
        report_progress(platform.db, RunRow, claim, progress=progress)
    contents = {"best.pt": b"weights", "suspect_labels.json": b'{"images": 0, "flagged": 0, "labels": []}'}
    artifacts = [
        PublishedArtifact(
            name, *published.put(platform, artifact_key(claim.id, claim.attempt, name), content), "application/json"
        )
        for name, content in contents.items()
    ]
    return publish_version(
        platform.db, claim, metrics=METRICS, weights_name="best.pt", artifacts=artifacts, log_key=None
    )


def _sample(platform: Platform, run_id: str) -> None:
    data = {"system": {"cpu_percent": 180.0, "memory_bytes": 2.1e9, "gpu_percent": 97.0, "gpu_memory_bytes": 9.2e9}}
    with platform.db.transaction() as session:
        run = session.get_one(RunRow, run_id)
        event = {"subject_id": run_id, "type": "system", "data": data, "at": run.updated_at}
        session.execute(insert(EventRow), [event | {"seq": run.event_seq + n} for n in range(1, SAMPLES + 1)])
        run.event_seq += SAMPLES


def measure(
    client: httpx.Client,
    api: psutil.Process,
    browser: Browser,
    template: str,
    address: str,
    rounds: int,
    paints: int,
) -> Figures:
    """The first two answers, which fill caches, are not counted."""
    for _ in range(2):
        answer = client.get(address, headers={"accept": "text/html"})
        if answer.is_error:
            raise SystemExit(f"{address} answers {answer.status_code}: {answer.text[:500]}")
    seconds, before = [], sum(api.cpu_times()[:2])
    for _ in range(rounds):
        started = time.perf_counter()
        client.get(address, headers={"accept": "text/html"}).raise_for_status()
        seconds.append(time.perf_counter() - started)
    processor = 1000 * (sum(api.cpu_times()[:2]) - before) / rounds
    painted = assets = None
    if "<main" in answer.text or template == FLOOR:
        opened = [_paint(browser, str(client.base_url) + address) for _ in range(paints)]
        painted, assets = median(each for each, _ in opened), opened[0][1] / 1000
    figures = Figures(template, 1000 * median(seconds), processor, painted, assets)
    print(figures, file=sys.stderr, flush=True)
    return figures


def _paint(browser: Browser, url: str) -> tuple[float, float]:
    """Milliseconds until something was painted, bytes of scripts and styles."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(url)
        return page.evaluate(PAINTED), page.evaluate(ASSETS)
    finally:
        context.close()


def _addresses(examples: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield FLOOR, "/health"
    for template in pages.templates():
        for address in pages.addresses(examples, of=[template], with_queries=template in pages.NEED_QUERY):
            yield template, address
    images = f"/ui/datasets/{examples['job_id']}/images"
    yield "images: one of them", f"{images}?image={examples['sha256']}"
    yield "images: 5,000 with a finding", f"{images}?finding={FINDING}"
    yield "images: one of 5,000 with a finding", f"{images}?finding={FINDING}&image={examples['sha256']}"
    wide = f"/ui/projects/{WIDE}"
    yield "1,000 classes, 2,000 versions: the project", wide
    yield "1,000 classes, 2,000 versions: the list", f"{wide}/models"
    yield "1,000 classes, 2,000 versions: a version", f"{wide}/versions/2000"
    yield "1,000 classes, 2,000 versions: the dataset", f"/ui/datasets/{examples['wide']}"
    yield "1,000 classes, 2,000 versions: its training", f"/ui/datasets/{examples['wide']}/train"


def _table(found: Sequence[Figures]) -> Iterator[str]:
    yield "| page | answer | processor time | first paint | scripts and styles |\n|---|---|---|---|---|"
    for each in found:
        painted = "" if each.painted is None else f"{each.painted:.0f} ms"
        assets = "" if each.assets is None else f"{each.assets:.0f} kB"
        missed = "" if each.is_good() else ": not met"
        yield f"| `{each.template}` | {each.server:.0f} ms{missed} | {each.processor:.0f} ms | {painted} | {assets} |"


if __name__ == "__main__":
    sys.exit(main())
