"""Decides which images without a label are background: images with no objects (docs/decisions/0022)."""

from collections.abc import Iterator, Set
from dataclasses import replace

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, folder_of
from pipeline.archive.plural import counted
from pipeline.dataset.model import Dataset, Item

AUTO, UNLABELLED = "auto", "unlabelled"


def settle_background(dataset: Dataset, listed: Set[str], background: str) -> Dataset:
    """The dataset with each image without a label as background, or else in `broken` with an error that says why.

    `listed`: images that a split list, or a part of a data.yaml, names. `background`: `auto`: images without a label
    are background where nothing else explains that they have none, or `unlabelled`: they are, unless they may own a
    label that matches no image. Images whose annotation is ambiguous are in `broken` already.
    """
    bare = [item for item in dataset.items if item.annotation is None and item.image.name not in dataset.broken]
    if dataset.kind != "detection" or not bare:
        return dataset
    doubts = list(_doubts(dataset, bare, listed, background))
    doubtful = {name for names, _ in doubts for name in names}
    findings = [Finding.of("image-unlabelled", names[0], why) for names, why in doubts]
    accepted = [item.image.name for item in bare if item.image.name not in doubtful]
    findings += _notes(accepted, dataset)
    return replace(dataset, findings=dataset.findings + findings, broken=dataset.broken | doubtful)


def _doubts(dataset: Dataset, bare: list[Item], listed: Set[str], background: str) -> Iterator[tuple[list[str], str]]:
    """(images, why each of them may have objects); no image twice."""
    names = [item.image.name for item in bare]
    images = counted(len(names), "image has no label", "images have no label")
    if dataset.lost:
        lost = counted(dataset.lost, "annotation matches", "annotations match")
        yield names, f"{images}, and {lost} no image: they may be theirs. Correct the names of these annotations first."
        return
    if background == UNLABELLED:
        return
    if 2 * len(names) >= len(dataset.items):
        detail = f"{images}, of {len(dataset.items)}: half of the dataset or more, so labels are likely to be missing."
        yield names, f"{detail}"
        return
    labelled = [item.image.name for item in dataset.items if item.annotation]
    same_stem = {bare_of(name) for name in labelled} & {bare_of(name) for name in names}
    if copies := [name for name in names if bare_of(name) in same_stem]:
        detail = f"{counted(len(copies), 'image')} without a label beside a labelled image of the same name"
        yield copies, f"{detail}: likely to be a copy."
    folders = {folder_of(name) for name in labelled}
    elsewhere = [name for name in names if folder_of(name) not in folders]
    if elsewhere := [name for name in elsewhere if name not in listed]:
        where = counted(len({folder_of(name) for name in elsewhere}), "folder")
        detail = f"{counted(len(elsewhere), 'image')} without a label in {where} without any labelled image"
        yield elsewhere, f"{detail}, and in no list or part of data.yaml."


def _notes(names: list[str], dataset: Dataset) -> Iterator[Finding]:
    stems = {bare_of(name) for name in names}
    annotated = {stem for item in dataset.items if item.annotation and (stem := bare_of(item.image.name)) in stems}
    for name in names:
        if bare_of(name) in annotated:
            detail = "The annotation belongs to another image with this name; this one is used as background."
            yield Finding.of("image-same-stem", name, detail)
        else:
            detail = "The image has no annotation and is used as background: an image with no objects."
            yield Finding.of("image-without-annotation", name, detail)
