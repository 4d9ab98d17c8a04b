"""The form of a training, made from the JSON Schema of its trainer's params; what it has sent, as params."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipeline.params.catalogue import CATALOGUE, params_of

_PARAM = "params."  # the names of the controls are those of the fields in the API's problems

# Group -> its params, of any trainer, in the order of the page. The first is in sight, the others are folded.
_GROUPS: Mapping[str, Sequence[str]] = {
    "": ("model", "mode", "epochs", "imgsz", "image_size", "batch", "pretrained"),
    "Prompts": ("templates", "prompts"),
    "When it ends": ("patience", "max_minutes", "best_by"),
    "Learning rate": (
        *("optimizer", "lr0", "lrf", "lr", "cos_lr", "scheduler", "warmup", "warmup_epochs"),
        *("momentum", "weight_decay", "nbs"),
    ),
    "What is trained": ("freeze", "freeze_layers", "class_weights", "label_smoothing"),
    "Augmentation": (
        *("mosaic", "close_mosaic", "mixup", "cutmix", "crop", "fliplr", "flipud", "hsv_h", "hsv_s", "hsv_v"),
        *("degrees", "translate", "scale", "shear", "perspective"),
    ),
    "Machine": ("device", "half", "workers", "seed", "suspect_labels"),
}
_OTHERS = "Others"
_LABELS: Mapping[str, str] = {
    "model": "Start from",
    "imgsz": "Image size",
    "image_size": "Image size",
    "lr": "Learning rate",
    "lr0": "First learning rate",
    "lrf": "Last learning rate",
    "cos_lr": "Cosine decay",
    "nbs": "Images per update",
    "fliplr": "Left-right flip",
    "flipud": "Upside-down flip",
    "hsv_h": "Hue",
    "hsv_s": "Saturation",
    "hsv_v": "Brightness",
    "best_by": "Best by",
    "max_minutes": "Time limit",
    "batch": "Batch size",
    "pretrained": "Pretrained weights",
    "degrees": "Rotation",
    "freeze": "Frozen layers",
    "freeze_layers": "Frozen layers",
    "half": "Half precision",
    "close_mosaic": "No mosaic at the end",
}
_UNITS: Mapping[str, str] = {
    "imgsz": "px",
    "image_size": "px",
    "epochs": "epochs",
    "patience": "epochs",
    "warmup_epochs": "epochs",
    "close_mosaic": "epochs",
    "max_minutes": "min",
    "batch": "images",
    "nbs": "images",
    "degrees": "°",
    "shear": "°",
    "freeze": "layers",
    "freeze_layers": "layers",
}
_HIDDEN = {("clip", "pretrained")}  # one value alone is valid


@dataclass(frozen=True, slots=True)
class Control:
    """`kind`: integer, number, boolean, choice, text, lines (one a line) or prompts (`class: sentence` a line).

    `value`: as the control has it, text or a boolean; `default`: the same for the default. `range`: in words.
    `is_nullable`: may be empty.
    """

    name: str
    label: str
    kind: str
    value: Any
    default: Any
    help: str
    range: str = ""
    unit: str = ""
    choices: Sequence[str] = ()
    is_nullable: bool = False
    error: str = ""

    @property
    def id(self) -> str:
        return f"param-{self.name}"

    @property
    def field(self) -> str:
        return f"{_PARAM}{self.name}"

    @property
    def is_changed(self) -> bool:
        return bool(self.value != self.default)


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    controls: list[Control] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return sum(control.is_changed for control in self.controls)

    @property
    def errors(self) -> int:
        return sum(bool(control.error) for control in self.controls)


@lru_cache(maxsize=len(CATALOGUE))
def schema_of(trainer: str) -> Mapping[str, Mapping[str, Any]]:
    """The properties of the JSON Schema of its params, which takes 5 ms to make. Raises ParamsInvalid for an unknown
    trainer, TrainerCannotTrain for one of imported models."""
    params = params_of(trainer)
    return {
        # The schema leaves out a default that a factory makes.
        name: {"default": params.model_fields[name].get_default(call_default_factory=True, validated_data={}), **schema}
        for name, schema in params.model_json_schema()["properties"].items()
    }


def form_of(trainer: str, values: Mapping[str, Any], errors: Mapping[str, str]) -> list[Group]:
    """The groups of the form. `values`: params that differ from the defaults, by name; text is drawn as it is.

    `errors`: messages by the field of the API (`params.epochs`, `params.templates.0`). Raises ParamsInvalid for an
    unknown trainer.
    """
    properties = schema_of(trainer)
    placed = [name for names in _GROUPS.values() for name in names]
    groups = [
        Group(title, [_control(name, properties[name], values, errors) for name in names if name in properties])
        for title, names in (*_GROUPS.items(), (_OTHERS, [name for name in properties if name not in placed]))
    ]
    return [
        Group(group.title, drawn)
        for group in groups
        if (drawn := [each for each in group.controls if (trainer, each.name) not in _HIDDEN])
    ]


def params_from(trainer: str, sent: Mapping[str, str]) -> dict[str, Any]:
    """The params that a form has sent, without those that are the default; what cannot be read stays text, which the
    schema refuses by name. A box that is not ticked is sent as nothing. Raises ParamsInvalid for an unknown trainer."""
    found = {}
    for group in form_of(trainer, {}, {}):
        for control in group.controls:
            text = sent.get(control.field)
            if control.kind == "boolean":
                if (text is not None) != control.default:
                    found[control.name] = text is not None
            elif text is not None and _normal(text) != _normal(str(control.default)):
                found[control.name] = _value(control, text)
    return found


def _normal(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\r\n", "\n").split("\n")).strip()


def _value(control: Control, text: str) -> Any:
    clean = _normal(text)
    if not clean and (control.is_nullable or control.kind not in ("lines", "prompts")):
        return None if control.is_nullable else clean
    match control.kind:
        case "integer":
            return int(clean) if re.fullmatch(r"[+-]?\d{1,18}", clean) else clean
        case "number":
            return float(clean) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", clean) else clean
        case "lines":
            return [line for line in clean.split("\n") if line]
        case "prompts":
            return _prompts(clean)
        case _:
            return clean


def _prompts(text: str) -> dict[str, list[str]]:
    """`class: sentence` a line; a class may have several lines."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, _, sentence = line.partition(":")
        if line:
            found.setdefault(name.strip(), []).append(sentence.strip())
    return found


def _control(name: str, schema: Mapping[str, Any], values: Mapping[str, Any], errors: Mapping[str, str]) -> Control:
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    is_nullable = len(options) < len(schema.get("anyOf", ()))
    typed = {**schema, **options[0]} if options else dict(schema)
    choices = tuple(str(each) for each in typed.get("enum", ()))
    kinds = {"integer": "integer", "number": "number", "boolean": "boolean", "array": "lines", "object": "prompts"}
    kind = "choice" if choices else kinds.get(str(typed.get("type")), "text")
    default = _as_control(kind, schema["default"])
    return Control(
        name=name,
        label=_LABELS.get(name, name.replace("_", " ").capitalize()),
        kind=kind,
        value=_as_control(kind, values[name]) if name in values else default,
        default=default,
        help=str(schema.get("description", "")),
        range=_range(typed),
        unit=_UNITS.get(name, ""),
        choices=choices,
        is_nullable=is_nullable,
        error=_error_of(name, errors),
    )


def _error_of(name: str, errors: Mapping[str, str]) -> str:
    prefix = f"{_PARAM}{name}"
    own = [text for at, text in errors.items() if at == prefix or at.startswith(f"{prefix}.")]
    return " ".join(own)


def _as_control(kind: str, value: Any) -> Any:
    if kind == "boolean":
        return bool(value)
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {text}" for name, texts in value.items() for text in texts)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(map(str, value))
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _range(schema: Mapping[str, Any]) -> str:
    """`1 to 10,000`, `above 0, up to 1`, `0 to below 1`, `64 to 4,096 in steps of 32`."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if all(each is None for each in (low, high, above, below)):
        return ""
    step = f" in steps of {schema['multipleOf']}" if "multipleOf" in schema else ""
    end = f"below {_number(below)}" if below is not None else _number(high)
    if above is not None:
        return f"above {_number(above)}, {end if below is not None else f'up to {end}'}{step}"
    return f"{_number(low)} to {end}{step}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"
