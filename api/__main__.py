"""`python -m api`: serve on DARKROOM_API_HOST:DARKROOM_API_PORT."""

import ipaddress
import sys

import uvicorn

from api.app import create_app
from core.settings import Settings, load_settings

SHUTDOWN_SECONDS = 3  # event streams are cut then; their clients come back with Last-Event-ID


def main() -> int:
    settings = load_settings()
    if refusal := why_not_open(settings):
        sys.stderr.write(f"{refusal}\n")
        return 2
    uvicorn.run(
        create_app(),
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,  # the middleware writes one line for each request, with its id
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return 0


def why_not_open(settings: Settings) -> str:
    """Why this service must not listen on its address; empty when it may."""
    if _is_loopback(settings.api_host) or settings.allow_open or settings.api_token.get_secret_value():
        return ""
    return (
        f"DARKROOM_API_HOST={settings.api_host} lets other machines in, and no token is set. "
        "Set DARKROOM_API_TOKEN, or DARKROOM_ALLOW_OPEN=true where something in front checks who comes."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: it may be any address


if __name__ == "__main__":
    sys.exit(main())
