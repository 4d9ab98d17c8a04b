"""Imports a trainer's heavy half, after the environment that its library reads at import is set."""

import sys
import time
from importlib import import_module
from types import ModuleType


def import_recipe(trainer: str, *, library: str) -> ModuleType:
    """`pipeline.trainers.{trainer}.recipe`. Writes the time that it takes, mostly that of `library`, to stderr."""
    began = time.monotonic()
    recipe = import_module(f"pipeline.trainers.{trainer}.recipe")
    sys.stderr.write(f"{library}.imported seconds={time.monotonic() - began:.2f}\n")
    return recipe
