"""The client as its users have it: installed alone, and by the examples of its page."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.services.context import open_platform
from core.settings import Settings
from deploy.local.private_stack import PrivateStack, start_stack, stop_stack, wait_until_it_answers
from pipeline.samples.drawing import jpeg
from pipeline.samples.scenes import draw_scenes, write_archive
from tests import REPOSITORY
from tests.servers.api import api_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ASK = """
import sys
from importlib.metadata import requires
from darkroom import Client
assert not {"api", "core", "pipeline", "pydantic"} & set(sys.modules)
names = {each.split(">")[0] for each in requires("darkroom-client")}
assert names == {"httpx", "rich", "typer"}, names
with Client(sys.argv[1]) as client:
    print(client.service().name, client.projects.create("alone").project)
"""


def test_the_client_is_installed_alone_and_asks_a_real_service(sqlite_url: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REPOSITORY / "client"]
    subprocess.run(install, check=True, env=environment)
    platform = open_platform(Settings(home=tmp_path / "home", database_url=sqlite_url))
    try:
        with api_process(platform) as (api, _):
            command = [python, "-c", ASK, str(api.base_url)]
            answered = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert answered.stdout == "darkroom alone\n", answered.stderr
            darkroom = [python.with_name("darkroom"), "projects", "--json", "--url", str(api.base_url)]
            listed = subprocess.run(darkroom, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert listed.returncode == 0 and '"alone"' in listed.stdout, listed.stderr
    finally:
        platform.db.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[PrivateStack]:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_EXPORT_ON_PUBLISH", "true")
        started = start_stack(home)
    try:
        for _ in wait_until_it_answers(started):
            pass
        yield started
    finally:
        stop_stack(started)


def test_the_examples_of_the_page_run(stack: PrivateStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(tmp_path / "shapes.zip", scenes=24, seed=3)
    (tmp_path / "image.jpg").write_bytes(jpeg(next(draw_scenes(1, seed=4)).image))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    page = (REPOSITORY / "docs" / "client.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 5
    code = "\n".join(examples).replace("http://127.0.0.1:8000", stack.api_url)
    done = subprocess.run([sys.executable, "-c", f"{code}\nclient.close()"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version-not-found" in done.stdout and "shapes/v1" in done.stdout
