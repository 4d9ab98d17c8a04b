"""Where `make up`, `make demo KEEP=1` and `darkroom open` open a page, and where they only print it."""

import pytest

from darkroom import desktop

SCREEN = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    "environment, platform, expected",
    [
        (SCREEN, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({}, "darwin", True),
        (SCREEN | {"CI": "true"}, "linux", False),
        (SCREEN | {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", False),  # with its display forwarded
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
        (SCREEN | {"DARKROOM_OPEN": "0"}, "linux", False),
        (SCREEN | {"DARKROOM_OPEN": "1"}, "linux", True),
    ],
)
def test_a_page_opens_on_a_desktop_alone(environment: dict[str, str], platform: str, expected: bool) -> None:
    assert desktop.has_desktop(environment, platform=platform) is expected


def test_a_browser_that_does_not_start_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(desktop, "has_desktop", lambda: True)
    monkeypatch.setattr(desktop.webbrowser, "open", lambda url: bool(opened.append(url)) or True)
    assert desktop.open_page("http://127.0.0.1:8000/ui/") and opened == ["http://127.0.0.1:8000/ui/"]

    def fail(_url: str) -> bool:
        raise OSError("no such file")

    monkeypatch.setattr(desktop.webbrowser, "open", fail)
    assert not desktop.open_page("http://127.0.0.1:8000/ui/")
