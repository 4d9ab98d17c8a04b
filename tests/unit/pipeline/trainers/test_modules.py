"""A module of a trainer's package hides the function of the same name as soon as it is imported."""

import inspect
from importlib.util import find_spec

import pytest

from pipeline.params.catalogue import CATALOGUE, IMPORTED
from pipeline.trainers import Trainer


@pytest.mark.parametrize("package", [*(entry.trainer for entry in CATALOGUE.values()), *IMPORTED.values()])
def test_no_module_of_a_trainer_hides_what_the_trainer_provides(package: str) -> None:
    provided = [name for name, _ in inspect.getmembers(Trainer, inspect.isfunction) if not name.startswith("_")]
    assert {"train", "load", "evaluate", "adopt"} <= set(provided)
    assert [name for name in provided if find_spec(f"{package}.{name}") is not None] == []
