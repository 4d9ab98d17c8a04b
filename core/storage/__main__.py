"""`python -m core.storage`: make the store ready (create the bucket where it is missing) and probe it. Runs once."""

import structlog

from core.logging import configure_logging
from core.settings import Settings, load_settings
from core.storage import open_store

log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    store = open_store(settings)
    if store.make_ready():
        log.info("store.created", store=settings.store)
    store.probe()
    log.info("store.ready", store=settings.store)


if __name__ == "__main__":
    configure_logging(load_settings())
    main(load_settings())
