"""`darkroom._sync` is what `client/make_sync.py` writes from `darkroom._async`; the version is one."""

import importlib.util
import tomllib

from core.domain.version import VERSION
from tests import REPOSITORY

CLIENT = REPOSITORY / "client"


def test_the_synchronous_client_is_generated_from_the_asynchronous_one() -> None:
    spec = importlib.util.spec_from_file_location("make_sync", CLIENT / "make_sync.py")
    assert spec and spec.loader
    make_sync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_sync)
    written = {path.name: path.read_text(encoding="utf-8") for path in make_sync.GENERATED.glob("*.py")}
    by_hand = written.pop(make_sync.BY_HAND)
    assert written == make_sync.generated(), "run: python client/make_sync.py"
    assert "async" not in by_hand.replace("without asyncio", "")


def test_the_client_has_the_version_of_the_project() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    from darkroom import __version__

    assert project["version"] == __version__ == VERSION
