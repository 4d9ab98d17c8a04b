"""`dataset_metadata.json`: a prepared dataset in numbers. Written once."""

import json
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import PIL
from lxml import etree

from core.domain.findings import count_findings
from core.domain.version import VERSION
from pipeline.dataset.model import READING, SPLITS, DatasetImage
from pipeline.dataset.near_duplicates import MAX_BITS, MAX_LOW_BITS
from pipeline.dataset.split import SPLIT_RULE, keeps_given
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.phash import LOW_BYTES, PHASH_BYTES
from pipeline.layouts import LAYOUTS
from pipeline.layouts.tarball import Digest, file_digest
from pipeline.prepare.fingerprint import HOW
from pipeline.process.results import METADATA_FILE, write_last
from pipeline.process.specs import PrepareSpec

SCHEMA = "darkroom-dataset-metadata/1"
_GROUPS_LISTED, _PATHS_LISTED = 200, 50  # near-duplicates listed one by one: this many groups, this many paths of each
_MOST_COMMON = 10  # resolutions listed one by one
# COCO's own borders of small, medium and large, in square pixels.
_SMALL, _MEDIUM = 32**2, 96**2


def write_metadata(
    dataset: ValidatedDataset, spec: PrepareSpec, *, started: datetime, seconds: Mapping[str, float]
) -> Digest:
    """Write `dataset_metadata.json` below `spec.out`. `seconds`: of each stage."""
    source = spec.source
    if source is None:
        source = {"name": spec.archive.name, **file_digest(spec.archive)._asdict()}
    times = {
        "started_at": started.isoformat(timespec="milliseconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": dict(seconds),
    }
    metadata = describe(dataset, spec.options.model_dump(), job_id=spec.job_id, source=source, times=times)
    file = spec.out / METADATA_FILE
    write_last(file, json.dumps(metadata, ensure_ascii=False, indent=1))
    return file_digest(file)


def describe(
    dataset: ValidatedDataset,
    options: Mapping[str, Any],
    *,
    job_id: str | None,
    source: dict[str, Any],
    times: dict[str, Any],
) -> dict[str, Any]:
    """JSON values only. Sizes in pixels of the upright image, areas in square pixels and as fractions of it."""
    return {
        "schema": SCHEMA,
        "fingerprint": dataset.digests.fingerprint,
        "content_fingerprint": dataset.digests.content_fingerprint,
        "fingerprint_how": HOW,
        "job_id": job_id,
        "source": source,
        "kind": dataset.kind,
        "format": dataset.format,
        "reading": READING,
        "layout": {"name": LAYOUTS[dataset.kind].name, "version": LAYOUTS[dataset.kind].version},
        "split": {"rule": SPLIT_RULE, "given": keeps_given(dataset.images, options["split"])},
        "near_duplicates": _near_duplicates(dataset),
        "classes": dataset.classes,
        "images": _image_counts(dataset),
        **(_of_boxes(dataset) if dataset.kind == "detection" else _of_labels(dataset)),
        "findings": count_findings(dataset.findings),
        "options": dict(options),
        "exclusions": None if dataset.exclusions is None else dict(dataset.exclusions),
        "versions": versions(),
        "times": times,
    }


def _of_boxes(dataset: ValidatedDataset) -> dict[str, Any]:
    return {
        "boxes": _box_counts(dataset),
        "per_class": _per_class(dataset),
        "boxes_per_image": _boxes_per_image(dataset.images),
        "resolution": _resolution(dataset.images),
        "box_area": _box_area(dataset.images),
    }


def _of_labels(dataset: ValidatedDataset) -> dict[str, Any]:
    """`per_split`: for each split with images, their number, the number of their classes, and their sizes."""
    counts = Counter((image.label or 0, dataset.splits[image.path]) for image in dataset.images)
    parts = {split: [p for p in dataset.images if dataset.splits[p.path] == split] for split in SPLITS}
    return {
        "per_class": {name: {"images": _by_split(counts, label)} for label, name in enumerate(dataset.classes)},
        "per_split": {
            split: {
                "images": len(images),
                "classes": len({image.label for image in images}),
                "resolution": _resolution(images),
            }
            for split, images in parts.items()
            if images
        },
        "resolution": _resolution(dataset.images),
    }


def _image_counts(dataset: ValidatedDataset) -> dict[str, Any]:
    splits = Counter(dataset.splits.values())
    return {
        "total": len(dataset.images),
        **{split: splits[split] for split in SPLITS},
        "background": sum(not image.class_ids for image in dataset.images),
        "distinct": len({image.sha256 for image in dataset.images}),
        "converted": sum(image.converted is not None for image in dataset.images),
        "left_out": dataset.left_out,
        "formats": dict(sorted(Counter(image.format for image in dataset.images).items())),
    }


def _near_duplicates(dataset: ValidatedDataset) -> dict[str, Any]:
    """Groups of near-duplicates, identical images included; the largest are listed, by path in the dataset."""
    sizes = Counter(dataset.groups[image.sha256] for image in dataset.images)
    members: dict[str, list[str]] = defaultdict(list)
    for image in dataset.images:
        if sizes[dataset.groups[image.sha256]] > 1:
            members[dataset.groups[image.sha256]].append(image.path)
    groups = sorted((sorted(paths) for paths in members.values()), key=lambda group: (-len(group), group))
    return {
        "rule": {
            "hash": "pHash of 16 x 16 frequencies",
            "bits": PHASH_BYTES * 8,
            "max_bits": MAX_BITS,
            "low_bits": LOW_BYTES * 8,
            "max_low_bits": MAX_LOW_BITS,
        },
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "largest": len(groups[0]) if groups else 0,
        "groups_across_splits": sum(len({dataset.splits[path] for path in paths}) > 1 for paths in groups),
        "named": [
            {"images": len(paths), "splits": sorted({dataset.splits[p] for p in paths}), "paths": paths[:_PATHS_LISTED]}
            for paths in groups[:_GROUPS_LISTED]
        ],
    }


def _box_counts(dataset: ValidatedDataset) -> dict[str, int]:
    splits: Counter[str] = Counter()
    difficult = 0
    for image in dataset.images:
        splits[dataset.splits[image.path]] += len(image.boxes)
        difficult += sum(box.difficult for box in image.boxes)
    return {"total": splits.total(), **{split: splits[split] for split in SPLITS}, "difficult": difficult}


def _per_class(dataset: ValidatedDataset) -> dict[str, dict[str, dict[str, int]]]:
    images: Counter[tuple[int, str]] = Counter()
    boxes: Counter[tuple[int, str]] = Counter()
    for image in dataset.images:
        split = dataset.splits[image.path]
        found = Counter(box.class_id for box in image.boxes)
        boxes.update({(class_id, split): count for class_id, count in found.items()})
        images.update((class_id, split) for class_id in found)
    return {
        name: {what: _by_split(counts, class_id) for what, counts in (("images", images), ("boxes", boxes))}
        for class_id, name in enumerate(dataset.classes)
    }


def _by_split(counts: Counter[tuple[int, str]], class_id: int) -> dict[str, int]:
    by_split = {split: counts[class_id, split] for split in SPLITS}
    return {"total": sum(by_split.values()), **by_split}


def _boxes_per_image(images: list[DatasetImage]) -> dict[str, Any]:
    counts = [len(image.boxes) for image in images]
    histogram = Counter(min(count, 20) for count in counts)
    return _statistics(counts) | {
        "histogram": {"20+" if count == 20 else str(count): histogram[count] for count in sorted(histogram)}
    }


def _resolution(images: list[DatasetImage]) -> dict[str, Any]:
    sizes = Counter((image.width, image.height) for image in images)
    common = sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0]))[:_MOST_COMMON]
    return {
        "width": _statistics(image.width for image in images),
        "height": _statistics(image.height for image in images),
        "megapixels": _statistics(image.width * image.height / 1e6 for image in images),
        "distinct": len(sizes),
        "most_common": [{"width": width, "height": height, "images": count} for (width, height), count in common],
    }


def _box_area(images: list[DatasetImage]) -> dict[str, Any]:
    # Not by lists of numbers: there may be a million boxes.
    areas = np.fromiter(((b.x2 - b.x1) * (b.y2 - b.y1) / 1e6 for p in images for b in p.boxes), dtype=np.float64)
    of = np.fromiter((p.width * p.height for p in images for _ in p.boxes), dtype=np.float64)
    return {
        "absolute_px": _statistics(areas),
        "relative": _statistics(areas / of),
        "small": int((areas < _SMALL).sum()),
        "medium": int(((areas >= _SMALL) & (areas < _MEDIUM)).sum()),
        "large": int((areas >= _MEDIUM).sum()),
    }


def _statistics(values: Iterable[float]) -> dict[str, float]:
    array = np.fromiter(values, dtype=np.float64)
    if not array.size:
        return {}
    p05, median, p95 = np.percentile(array, (5, 50, 95))
    numbers = {"min": array.min(), "p05": p05, "median": median, "mean": array.mean(), "p95": p95, "max": array.max()}
    return {name: round(float(number), 6) for name, number in numbers.items()}


def versions() -> dict[str, str]:
    libraries = {"pillow": PIL.__version__, "lxml": etree.__version__, "numpy": np.__version__}
    return {"darkroom": VERSION, "python": platform.python_version(), **libraries}
