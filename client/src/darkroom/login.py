"""Where the service is, and with which token: arguments, then the environment, then the login file.

A token of the login file goes only to the address that it was stored for.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "DARKROOM_URL"
TOKEN_VARIABLE = "DARKROOM_API_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Login:
    url: str
    token: str = field(default="", repr=False)


def resolve_login(url: str | None = None, token: str | None = None) -> Login:
    """Raises ValueError where the address is not one of HTTP, the token is none, or the login file is not one."""
    stored = read_login()
    address = _normal(url or os.environ.get(URL_VARIABLE) or (stored.url if stored else DEFAULT_URL))
    if token is None:
        token = os.environ.get(TOKEN_VARIABLE)
    if token is None and stored is not None and stored.url.rstrip("/") == address:
        token = stored.token
    return Login(address, _valid((token or "").strip()))


def login_path() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "darkroom" / "login.json"


def read_login() -> Login | None:
    """Raises ValueError where the file is not a login."""
    path = login_path()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Login(str(found["url"]), str(found.get("token", "")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a login: remove it, or write it again with `darkroom login`.") from error


def write_login(login: Login) -> Path:
    """Replaces the login file, which only its owner can read (0600)."""
    path = login_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(Login(_normal(login.url), login.token)), file)
    partial.replace(path)
    return path


def remove_login() -> bool:
    """Returns whether there was one."""
    path = login_path()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def _normal(url: str) -> str:
    """Names no address with a password in a message."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"The address {url!r} does not start with http:// or https://.")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("The address holds a user or a password; the service takes a token only.")
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"The address {url!r} is not valid: write it as http://127.0.0.1:8000.")
    return url.rstrip("/")


def _valid(token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise ValueError("The token holds characters that it cannot have: line breaks, or others than ASCII.")
    return token
