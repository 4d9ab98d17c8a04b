"""What this machine computes on, by a child: engines that it has to import stay out of the worker's own process."""

import os
import subprocess
import sys
from typing import Any

import structlog
from pydantic import ValidationError

from pipeline.process.devices import Devices
from pipeline.process.environment import child_environment

SECONDS = 40  # a second usually, more where a driver starts; a worker that is silent for a minute counts as gone
COMPUTING_ROLES = ("train", "operations")
COMMAND = (sys.executable, "-m", "pipeline", "devices")

log = structlog.get_logger(__name__)


def devices(role: str) -> dict[str, Any]:
    """As of `pipeline.process.devices.Devices`; with engines for the roles that compute. Empty where it failed."""
    options = ("--engines",) if role in COMPUTING_ROLES else ()
    environment = child_environment(os.environ)
    try:
        found = subprocess.run(
            [*COMMAND, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=SECONDS,
            check=True,
            start_new_session=True,
        )
        return Devices.model_validate_json(found.stdout).model_dump(mode="json")
    except (OSError, subprocess.SubprocessError, ValidationError) as error:
        log.warning("worker.devices_unknown", error=repr(error)[:500])
        return {}
