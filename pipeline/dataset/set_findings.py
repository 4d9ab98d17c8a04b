"""Findings about a dataset as a whole."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from core.domain import limits
from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import Dataset, DatasetImage


def set_findings(dataset: Dataset, images: list[DatasetImage], classes: list[str]) -> Iterator[Finding]:
    """Findings about the dataset as a whole."""
    if len(images) < limits.MIN_IMAGES:
        detail = f"The dataset has {counted(len(images), 'usable image')}; at least {limits.MIN_IMAGES} are needed."
        yield Finding.of("too-few-images", "", detail)
    if dataset.kind == "detection" and not classes:
        yield Finding.of("no-boxes", "", "The dataset has no usable box.")
    if dataset.kind == "classification" and len(classes) < 2:
        detail = f"There are usable images of {counted(len(classes), 'class', 'classes')}; a classifier needs two."
        yield Finding.of("too-few-classes", "", detail)
    if len(classes) > limits.MAX_CLASSES:
        detail = f"The dataset has {len(classes)} classes; at most {limits.MAX_CLASSES} are accepted. The first are"
        yield Finding.of("too-many-classes", "", f"{detail} {', '.join(map(repr, classes[:5]))}.")
        return  # what follows has a finding for each class
    counts = Counter(class_id for image in images for class_id in image.class_ids)
    for class_id, name in enumerate(classes):
        if counts[class_id] < 3:
            detail = f"{name!r} is in {counted(counts[class_id], 'image')}: too few for train, val and test."
            yield Finding.of("class-rare", "", detail)
    yield from _similar_classes(classes)
    yield from _duplicates(images, classes)


def _similar_classes(classes: list[str]) -> Iterator[Finding]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        spellings["".join(char for char in name.casefold() if char.isalnum())].append(name)
    for key, names in spellings.items():
        if key and len(names) > 1:
            detail = f"These names differ only in case, spaces or punctuation: {', '.join(map(repr, names))}."
            yield Finding.of("class-names-similar", "", detail)


def _duplicates(images: list[DatasetImage], classes: list[str]) -> Iterator[Finding]:
    first: dict[str, DatasetImage] = {}
    for image in images:
        original = first.setdefault(image.sha256, image)
        if original is image:
            continue
        yield Finding.of("image-duplicate", image.name, f"The same bytes as {original.name}.")
        if original.label is not None and image.label is not None and original.label != image.label:
            name, other = classes[image.label], classes[original.label]
            detail = f"The same image as {original.name}, but in class {name!r} instead of {other!r}."
            yield Finding.of("duplicate-labels-differ", image.name, detail)
        if original.boxes != image.boxes:
            detail = f"The same image as {original.name}, but with different boxes."
            yield Finding.of("duplicate-labels-differ", image.name, detail)


def order_note(dataset: Dataset, classes: Sequence[str]) -> Iterator[Finding]:
    used = set(classes)
    unused = [name for name in dataset.class_order if name not in used]
    if unused:
        some = ", ".join(repr(name[:100]) for name in unused[:5])
        detail = f"The order of the classes names {counted(len(unused), 'class', 'classes')} that no image has: {some}."
        yield Finding.of("class-order-unused", "", detail)


def palette_note(names: list[str]) -> Iterator[Finding]:
    """One note for the whole dataset: often all images have a palette."""
    if names:
        have = "1 image has" if len(names) == 1 else f"{len(names)} images have"
        detail = f"{have} a palette of at most 256 colours, which trainers read as colours. First: {min(names)}."
        yield Finding.of("image-palette", min(names), detail)
