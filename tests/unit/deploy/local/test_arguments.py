"""`up` and `down` take no arguments: --help prints what they do, and nothing is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import down, up

COMMANDS = [up.main, down.main]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("main", COMMANDS, ids=["up", "down"])
def test_help_lists_the_settings_and_starts_nothing(
    main: Callable[[list[str]], int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    printed = capsys.readouterr().out
    assert (
        ended.value.code == 0 and "same command" in printed and "DARKROOM_HOME  Folder of all local state." in printed
    )
    assert not home.exists()


@pytest.mark.parametrize("main", COMMANDS, ids=["up", "down"])
def test_an_unknown_argument_is_refused_by_name(
    main: Callable[[list[str]], int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--prot", "8001"])
    assert ended.value.code == 2 and "--prot" in capsys.readouterr().err
    assert not home.exists()
