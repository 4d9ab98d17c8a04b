"""What `darkroom doctor` checks: this computer, the service, its parts, its workers and its predictions.

Each check is `ok`, `warn` or `fail`, with what was found and what to do; a check that needs an answer of a service that
does not answer is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    name: str
    state: State
    detail: str
    remedy: str = ""


Checks = Iterator[Check]
