"""The catalogue of trainers: name -> kind of dataset, params schema, trainer. All are import strings, so that it is light.

A new trainer is one file of params, one trainer and one line here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, Protocol, cast, runtime_checkable

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.domain.errors import ParamsInvalid, TrainerCannotTrain
from core.domain.field_errors import not_valid, reason_of, unknown_name


@dataclass(frozen=True, slots=True)
class TrainerEntry:
    """`kind` of the datasets it trains on; `params` is `module:Class`; `trainer` is a module (pipeline.trainers.Trainer).

    `weights`: whether pretrained weights are one file or a folder with a config; a worker fetches them beforehand.
    """

    kind: str
    params: str
    trainer: str
    weights: Literal["file", "folder"] = "file"


CATALOGUE: Mapping[str, TrainerEntry] = {
    "yolo": TrainerEntry("detection", "pipeline.params.yolo:YoloParams", "pipeline.trainers.yolo"),
    "vit": TrainerEntry("classification", "pipeline.params.vit:VitParams", "pipeline.trainers.vit", weights="folder"),
    "clip": TrainerEntry(
        "classification", "pipeline.params.clip:ClipParams", "pipeline.trainers.clip", weights="folder"
    ),
}

# Trainers of models that are only imported, of either kind: name -> module. They predict, evaluate and export.
IMPORTED: Mapping[str, str] = {"onnx": "pipeline.trainers.onnx"}

# What one trainer calls a param, and what another calls the same.
SAME_PARAM = (("imgsz", "image_size"), ("lr0", "lr"), ("freeze", "freeze_layers"))

BASELINE = "clip"  # the trainer that predicts without a training


def entry_of(trainer: str) -> TrainerEntry:
    """Raises ParamsInvalid for an unknown trainer, TrainerCannotTrain for one of imported models."""
    if trainer in IMPORTED:
        detail = f"{trainer} is the trainer of imported {trainer.upper()} files, which are used as they are. "
        raise TrainerCannotTrain(f"{detail}These train: {', '.join(sorted(CATALOGUE))}.", trainer=trainer)
    if trainer not in CATALOGUE:
        errors = [{"field": "trainer", "message": f"must be one of: {', '.join(sorted(CATALOGUE))}"}]
        raise ParamsInvalid(f"There is no trainer {trainer!r}.", errors=errors)
    return CATALOGUE[trainer]


def entry_of_version(trainer: str, *, kind: str) -> TrainerEntry:
    """Of a model version, which may be an imported one. `kind`: of the model, as in its model.json.

    Raises ParamsInvalid for an unknown trainer.
    """
    return TrainerEntry(kind, "", IMPORTED[trainer]) if trainer in IMPORTED else entry_of(trainer)


@lru_cache(maxsize=len(CATALOGUE))
def params_of(trainer: str) -> type[BaseModel]:
    """The params schema of a trainer. No heavy library is imported."""
    module, _, name = entry_of(trainer).params.partition(":")
    return cast(type[BaseModel], getattr(import_module(module), name))


def validate_params(trainer: str, params: Mapping[str, Any]) -> BaseModel:
    """Params with their defaults. Raises ParamsInvalid with `errors`: [{field, message}], one per invalid field."""
    try:
        return params_of(trainer).model_validate(dict(params))
    except ValidationError as error:
        known = list(params_of(trainer).model_fields)
        errors = [
            {"field": ".".join(["params", *map(str, problem["loc"])])[:200], "message": _message(problem, known)}
            for problem in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ParamsInvalid(not_valid(errors), errors=errors) from error


def _message(problem: ErrorDetails, known: Collection[str]) -> str:
    if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
        name = str(problem["loc"][0])
        same = next((each for names in SAME_PARAM if name in names for each in names if each in known), None)
        return f"There is no field of this name; did you mean {same!r}?" if same else unknown_name("field", name, known)
    return reason_of(problem["msg"])


@runtime_checkable
class NamesClasses(Protocol):
    """Params with values for single classes."""

    def misfits(self, classes: Collection[str]) -> list[dict[str, str]]:
        """[{field, message}] for what does not fit a dataset of these classes."""


def fit_classes(params: BaseModel, classes: Collection[str], *, within: str = "params.") -> None:
    """Raises ParamsInvalid for params of a class that the dataset does not have. `within`: their place in a request."""
    misfits = params.misfits(classes) if isinstance(params, NamesClasses) else []
    if misfits:
        errors = [{**each, "field": f"{within}{each['field']}"} for each in misfits]
        raise ParamsInvalid(not_valid(errors), errors=errors)


def default_trainer(kind: str) -> str | None:
    """The trainer for a kind of dataset where a request names none; None for a kind without a trainer."""
    return next((name for name, entry in CATALOGUE.items() if entry.kind == kind), None)
