"""Logging: structlog events such as `run.published` with fields, as text or as JSON lines, on stderr."""

import logging
import os
import sys
from typing import Any

import structlog

from core.settings import Settings, unknown_settings


def configure_logging(settings: Settings) -> None:
    """Events from `log_level` on; of libraries, warnings and errors. Names the variables that are no setting."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_json
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=max(level, logging.WARNING), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log = structlog.get_logger(__name__)
    for variable, close in unknown_settings(os.environ).items():
        log.warning("setting.unknown", variable=variable, did_you_mean=close)
