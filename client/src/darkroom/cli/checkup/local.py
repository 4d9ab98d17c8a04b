"""This computer: the client, the login file, and what the terminal can draw."""

import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from darkroom.cli.checkup import Check, Checks
from darkroom.cli.text import size
from darkroom.login import TOKEN_VARIABLE, URL_VARIABLE, Login, login_path, read_login
from darkroom.version import VERSION

TEMPORARY_BYTES = 1024**3  # a folder of images becomes a ZIP there before it is uploaded
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def local_checks(login: Login) -> Checks:
    yield Check("client", "ok", f"darkroom {VERSION}, Python {platform.python_version()}, {sys.platform}")
    yield login_check(login_path())
    yield _address(login)
    yield _temporary(Path(tempfile.gettempdir()))
    yield _drawing()


def login_check(path: Path) -> Check:
    """Whether others can read the token, and whether it can be read at all."""
    try:
        mode, owner = path.stat().st_mode, path.stat().st_uid
    except OSError:
        return Check("login file", "ok", f"none: {path}")
    if mode & OTHERS:
        return Check(
            "login file", "fail", f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})", f"chmod 600 {path}"
        )
    if hasattr(os, "getuid") and owner != os.getuid():
        return Check("login file", "fail", f"{path} belongs to another user", "Delete it, and run `darkroom login`.")
    try:
        read_login()
    except (ValueError, OSError) as error:
        return Check("login file", "fail", str(error), "Run `darkroom login` again.")
    return Check("login file", "ok", f"{path}, mode {stat.S_IMODE(mode):04o}")


def _address(login: Login) -> Check:
    used = {URL_VARIABLE: login.url, TOKEN_VARIABLE: login.token}  # not where an argument took precedence
    named = [name for name, value in used.items() if value and os.environ.get(name, "").rstrip("/") == value]
    detail = login.url + (f", with {' and '.join(named)} from the environment" if named else "")
    host = login.url.partition("://")[2].partition("/")[0].rpartition(":")[0] or login.url.partition("://")[2]
    if login.token and login.url.startswith("http://") and host not in ("127.0.0.1", "localhost", "[::1]"):
        return Check("address", "warn", f"{detail}: the token is sent unencrypted", "Use an address with https://.")
    return Check("address", "ok", detail)


def _temporary(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    if free < TEMPORARY_BYTES:
        remedy = "Folders are zipped there before an upload: set TMPDIR to a folder on a larger disk."
        return Check("temporary files", "warn", f"{size(free)} free in {folder}", remedy)
    return Check("temporary files", "ok", f"{size(free)} free in {folder}")


def _drawing() -> Check:
    if importlib.util.find_spec("PIL") is None:
        return Check("images", "ok", "Pillow is not installed: `predict` draws in iTerm2 and WezTerm alone")
    return Check("images", "ok", "Pillow is installed: `predict` draws in the terminal")
