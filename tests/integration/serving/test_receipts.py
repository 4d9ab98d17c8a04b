"""A receipt of a real request, and the same answer again from the bundle of the version, without the service."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.services.context import Platform
from pipeline.__main__ import run
from tests.builders.bundled import bundle_spec, write_bundle
from tests.builders.served import publish
from tests.builders.training import NETWORK_GUARD
from tests.servers.serving import predicted, served

# What a replay must not need: neither the service nor its database.
OFFLINE = f"""
{NETWORK_GUARD}
from pipeline.__main__ import run
status = run(sys.argv[1:])
wrong = [name for name in ("sqlalchemy", "fastapi", "torch", "core.db") if name in sys.modules]
sys.exit(f"imported {{wrong}}" if wrong else status)
"""


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_a_bundle_gives_the_answer_of_the_service_again(
    kind: str, platform: Platform, images: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = bundle_spec(tmp_path / "version", kind)
    zipped = write_bundle(spec)
    name = publish(platform, "colours", spec.export, kind=kind)
    sent = {"model": name, "receipt": True, "top": 2, "images": [_source(each) for each in (*images[:3], b"none")]}

    async def answers() -> list[dict[str, Any]]:
        async with served(platform) as client:
            return [(await client.post("/predict", json=sent)).json() for _ in range(2)]

    answer, again = asyncio.run(answers())
    assert answer["receipt"] == again["receipt"], "it has no time and no number of its own"
    assert len(json.dumps(answer["receipt"])) < 6000
    assert answer["receipt"]["images"][0]["answer"]["boxes" if kind == "detection" else "labels"]
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    files = []
    for index, content in enumerate((*images[:3], b"none")):
        files.append(tmp_path / f"{index}.jpg")
        files[-1].write_bytes(content)
    command = ["replay", str(tmp_path / "answer.json"), *map(str, reversed(files)), "--bundle", str(zipped)]
    assert run(command) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.endswith("The same answer, to the last digit.\n")


def test_a_prediction_by_tiles_is_made_again_offline(platform: Platform, tmp_path: Path) -> None:
    spec = bundle_spec(tmp_path / "version")
    zipped = write_bundle(spec)
    name = publish(platform, "colours", spec.export)
    large = Image.new("RGB", (640, 480), (128, 128, 128))
    large.paste((230, 20, 20), (200, 300, 224, 324))
    large.save(tmp_path / "large.png")
    query = {"tile": 128, "overlap": 0.25, "confidence": 0.4, "receipt": True}

    async def receipt() -> Any:
        async with served(platform) as client:
            return (await predicted(client, (tmp_path / "large.png").read_bytes(), name, **query)).json()["receipt"]

    found = asyncio.run(receipt())
    assert found["images"][0]["answer"]["tiles"] == 35 and found["thresholds"]["confidence"] == 0.4
    (tmp_path / "receipt.json").write_text(json.dumps(found))
    command = ["replay", str(tmp_path / "receipt.json"), str(tmp_path / "large.png"), "--bundle", str(zipped), "--json"]
    environment = {**os.environ, "NETWORK_LOG": str(tmp_path / "network.log")}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *command], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["verdict"] == "same"
    assert (tmp_path / "network.log").read_text() == "watching\n"


def _source(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}
