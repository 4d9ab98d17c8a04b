"""The limits of a model, as far as its dataset and its figures show them. Each is a sentence with its numbers."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.bundle.markdown import literal
from pipeline.index.leaks import caveat_of
from pipeline.predictor.metadata import ExportMetadata

FEW_IMAGES = 200  # below, a share of 90 % is known to about 4 points at best
FEW_EXAMPLES = 50  # of a class in train
UNBALANCED = 5  # times as many examples of one class as of another
NAMED = 5


def limits_of(
    metadata: ExportMetadata,
    metrics: Mapping[str, Any],
    dataset: Mapping[str, Any] | None,
    version: Mapping[str, Any],
    split: str | None,
) -> list[str]:
    return [
        *_of_training(dataset, version),
        *(_of_balance(dataset) if dataset else ()),
        *_of_input(metadata, dataset),
        *_of_figures(metrics, split, version),
        *_of_kind(metadata),
    ]


def _of_training(dataset: Mapping[str, Any] | None, version: Mapping[str, Any]) -> Iterator[str]:
    if dataset is None or version["origin"] == "imported":
        yield "It was trained elsewhere: on what is not known, nor whether it has seen the images of the figures."
        return
    images, size = dataset["images"], dataset["resolution"]
    wide, high = (_range(size[side]) for side in ("width", "height"))
    yield (
        f"It was trained on {images['train']} images, most of them {wide} pixels wide and {high} high. On images of "
        "other cameras, places or light it was not measured."
    )
    if (version["params"] or {}).get("mode") == "zero-shot":
        yield "It was not trained on them: classes are recognised by their names alone."


def _range(sizes: Mapping[str, float]) -> str:
    low, high = f"{sizes['p05']:.0f}", f"{sizes['p95']:.0f}"
    return low if low == high else f"{low} to {high}"


def _of_balance(dataset: Mapping[str, Any]) -> Iterator[str]:
    what = "boxes" if dataset["kind"] == "detection" else "images"
    counts = {name: int(row[what]["train"]) for name, row in dataset["per_class"].items()}
    if not counts:
        return
    rare, common = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    if counts[common] >= UNBALANCED * max(1, counts[rare]):
        yield (
            f"Its classes are not balanced: {counts[common]} {what} of {literal(common)} in train, {counts[rare]} of "
            f"{literal(rare)}."
        )
    few = sorted((name for name in counts if counts[name] < FEW_EXAMPLES), key=lambda name: counts[name])
    if few:
        named = ", ".join(f"{literal(name)} ({counts[name]})" for name in few[:NAMED])
        more = f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
        yield f"Fewer than {FEW_EXAMPLES} {what} in train: {named}{more}."


def _of_input(metadata: ExportMetadata, dataset: Mapping[str, Any] | None) -> Iterator[str]:
    wanted = metadata.preprocessing
    if metadata.kind != "detection":
        return
    area = (dataset or {}).get("box_area") or {}
    small = (
        f" Of the boxes it was trained and tested on, {area['small']} are smaller than 32 x 32 pixels." if area else ""
    )
    yield (
        f"An image is reduced to {wanted.width} x {wanted.height} pixels before it is looked at: what is a few pixels "
        f"large after that is not found.{small}"
    )


def _of_figures(metrics: Mapping[str, Any], split: str | None, version: Mapping[str, Any]) -> Iterator[str]:
    if leak := version.get("leak"):
        yield caveat_of(leak)
    if split is None:
        yield "It was not evaluated: there are no figures."
        return
    images = metrics[split]["images"]
    if images < FEW_IMAGES:
        yield f"The figures on {split} are those of {images} images: a difference of a few hundredths may be chance."
    if split == "val":
        yield "There was no test split: the model was chosen by the images that the figures are of, which flatters it."
    if version["origin"] == "run":
        yield f"The images of {split} come from the same upload as those it was trained on."


def _of_kind(metadata: ExportMetadata) -> Iterator[str]:
    if metadata.kind == "classification":
        yield "It names one of its classes for every image, also where none of them is in it."
    yield (
        f"It knows nothing beyond its {len(metadata.classes)} classes."
        if len(metadata.classes) > 1
        else ("It knows nothing beyond its one class.")
    )
