"""`python -m core.storage`: make the store ready (create the bucket where it is missing) and try it out. Runs once."""

import logging

from core.settings import load_settings
from core.storage import open_store

log = logging.getLogger(__name__)


def make_ready() -> None:
    store = open_store(load_settings())
    if hasattr(store, "create_bucket") and store.create_bucket():
        log.info("bucket.created")
    store.probe()
    log.info("store.ready")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_ready()
