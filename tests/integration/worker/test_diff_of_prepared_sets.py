"""Two uploads that real children prepared: the service and `fingerprint --diff` find the same differences."""

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.__main__ import run
from tests.builders.class_folders import folder_files
from tests.builders.voc import XML, Files, image_bytes, voc_files, zip_files
from tests.servers.api import serving
from tests.servers.workers import OPTIONS, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job

SAME_SPLIT = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]


def _boxes() -> tuple[Files, Files]:
    before = voc_files(images=8)
    after = before | {"images/more.jpg": image_bytes(seed=78), XML: before[XML].replace(b"ball", b"dice", 1)}
    return before, {name: content for name, content in after.items() if "p03" not in name}


def _labels() -> tuple[Files, Files]:
    before = folder_files(each=5)
    return before, {name.replace("box/03", "disc/of-box"): content for name, content in before.items()}


@pytest.mark.parametrize("kind", ["detection", pytest.param("classification", marks=pytest.mark.slow)])
def test_the_service_and_the_command_find_the_same_differences(tmp_path: Path, sqlite_url: str, kind: str) -> None:
    before, after = _boxes() if kind == "detection" else _labels()
    archives = [zip_files(tmp_path / f"{name}.zip", files) for name, files in (("a", before), ("b", after))]
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0) as line:
        jobs = [line.upload(archive) for archive in archives]
        for job_id in jobs:
            prepare_job(Worker(line.platform, "prepare", "test"), job_id)
        with serving(line.platform) as client:
            url = f"/dataset/diff/{jobs[0]}/{jobs[1]}"
            found = client.get(url).json()
            lines = [*csv.DictReader(io.StringIO(client.get(f"{url}/changes.csv").text, newline=""))]
            plot = client.get(f"{url}/plot")
    sheet = Image.open(io.BytesIO(plot.content)).convert("RGB")
    assert len(sheet.crop((28, 156, 368, 411)).getcolors(maxcolors=10**6) or ()) > 100, "an image was decoded"

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run(["fingerprint", "--diff", *map(str, archives), "--json", "--processes", "1", *SAME_SPLIT]) == 1
    offline = json.loads(out.getvalue())
    assert found["summary"] == offline["summary"]
    assert [(line["item"], line["change"], line["path"]) for line in lines] == [
        (leaf["item"], leaf["change"], leaf["path"]) for leaf in offline["differences"]
    ]
    changes = {(line["item"], line["change"]) for line in lines}
    expected = {("box", "class changed"), ("image", "added"), ("image", "removed"), ("class", "added")}
    assert changes >= (expected if kind == "detection" else {("label", "changed"), ("image", "moved")})
