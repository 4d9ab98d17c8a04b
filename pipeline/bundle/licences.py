"""The licences of what is in a bundle, as far as they are known. An unknown one is called unknown, and not guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.bundle.markdown import code

UNKNOWN = "unknown"  # as the hub spells it, and the ids below

_AGPL = (
    "The network comes from [ultralytics](https://github.com/ultralytics/ultralytics), which is offered under "
    "AGPL-3.0, and so is the model: whoever passes it on, or lets others use it over a network, offers them the source "
    "under the same licence, or has an enterprise licence of ultralytics, whose licence page has the terms."
)
_OWN = "Trained from random numbers: no weights of others are in it. Its licence is for its owner to decide."
_PARENT = "Trained from {parent}: the licence of that version applies as well."

# Licences of pretrained weights, by the beginning of their names on the hub; as their cards or repositories state them.
_WEIGHTS: Mapping[str, str] = {
    "google/vit-": "apache-2.0",
    "facebook/deit-": "apache-2.0",
    "microsoft/resnet-": "apache-2.0",
    "openai/clip-": "mit",
    "laion/CLIP-": "mit",
}
_NAMES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "agpl-3.0": "AGPL-3.0", UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Licence:
    """Of a part of the bundle. `id` as the hub spells it; `detail`: what follows from it, as Markdown."""

    part: str
    id: str
    detail: str

    @property
    def name(self) -> str:
        return _NAMES[self.id]


def licences_of(version: Mapping[str, Any], *, parent: str | None, images: bool) -> tuple[Licence, ...]:
    """Of the model, of the dataset, of the predictor. `parent`: the name of the version's parent as Markdown.
    `images`: whether the bundle has some of the dataset."""
    return (_of_model(version, parent), _of_dataset(version, images=images), _PREDICTOR)


_PREDICTOR = Licence(
    "`predict.py` and `darkroom_predictor/`",
    "agpl-3.0",
    "They are part of Darkroom, which is offered under AGPL-3.0 or later. The model runs without them, in any program "
    "that prepares its input as `preprocessing.json` says.",
)


def _of_model(version: Mapping[str, Any], parent: str | None) -> Licence:
    part = "The model (weights and `model.onnx`)"
    if version["trainer"] == "yolo":
        return Licence(part, "agpl-3.0", _AGPL)
    if version["origin"] == "imported":
        return Licence(part, UNKNOWN, "It was trained elsewhere and uploaded: its licence was not stated.")
    if parent is not None:
        return Licence(part, UNKNOWN, _PARENT.format(parent=parent))
    base = base_model(version)
    if base is None:
        return Licence(part, UNKNOWN, _OWN)
    found = next((licence for name, licence in _WEIGHTS.items() if base.startswith(name)), UNKNOWN)
    if found == UNKNOWN:
        return Licence(part, UNKNOWN, f"It started from weights called {code(base)}: see the licence there.")
    started = f"It started from the weights {code(base)}, which are offered under {_NAMES[found]}"
    return Licence(part, found, f"{started}: their notice stays with it.")


def base_model(version: Mapping[str, Any]) -> str | None:
    """The pretrained weights that a training started from, by their name on the hub."""
    name = str(version["params"].get("model", ""))
    note = str((version.get("notes") or {}).get("weights", ""))
    from_weights = (
        note.startswith("started from the pretrained weights") or version["params"].get("mode") == "zero-shot"
    )
    return name if from_weights and name and version.get("parent") is None else None


def _of_dataset(version: Mapping[str, Any], *, images: bool) -> Licence:
    dataset = version.get("dataset") or version.get("evaluated_on") or {}
    if hub := dataset.get("huggingface"):
        detail = f"It was imported from the Hugging Face dataset {code(hub)}: see its card."
    else:
        detail = "The upload did not state one." if dataset else "It was trained elsewhere: on what is not known."
    if images:
        detail += " Some images of the dataset are in `images/`: pass them on only if you may."
    return Licence("The dataset", UNKNOWN, detail)
