"""Whether there is a desktop, and a page opened on it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping

OPEN_VARIABLE = "DARKROOM_OPEN"
_NO = ("0", "false", "no", "off")
_REMOTE = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")


def has_desktop(environment: Mapping[str, str] = os.environ, *, platform: str = sys.platform) -> bool:
    """Not over ssh, not under CI, not with DARKROOM_OPEN=0, and on Linux only where a display is."""
    if environment.get(OPEN_VARIABLE, "").strip().lower() in _NO or environment.get("CI"):
        return False
    if any(environment.get(name) for name in _REMOTE):
        return False
    if platform in ("darwin", "win32"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_page(url: str) -> bool:
    """In the browser of the desktop; False where there is none, or it could not be started."""
    try:
        return has_desktop() and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
