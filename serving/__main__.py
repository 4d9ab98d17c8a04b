"""`python -m serving`: predictions on DARKROOM_SERVING_HOST:DARKROOM_SERVING_PORT."""

import gc
import sys
from contextlib import suppress

from core.settings import load_settings
from http_common.server import allow_open_files, refusal_to_listen, server_of
from serving.app import create_app

SHUTDOWN_SECONDS = 20  # the queue is answered first: 256 images take some seconds


def main() -> int:
    settings = load_settings()
    if refusal := refusal_to_listen(settings, host=settings.serving_host, setting="DARKROOM_SERVING_HOST"):
        sys.stderr.write(f"{refusal}\n")
        return 2
    server = server_of(
        create_app(),
        host=settings.serving_host,
        port=settings.serving_port,
        max_connections=allow_open_files(settings.max_connections),
        shutdown_seconds=SHUTDOWN_SECONDS,
    )
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
