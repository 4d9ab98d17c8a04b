"""The images that a trainer reads, compared with those in the manifest of the prepared tree."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from core.domain.errors import ImagesDiffer
from pipeline.archive.plural import counted
from pipeline.layouts import MANIFEST_FILE

_NAMED = 20  # files in one failure


def manifest_paths(tree: Path) -> dict[str, list[str]]:
    """The paths of the images in the manifest, by split; nothing for a tree without a manifest."""
    file = tree / MANIFEST_FILE
    manifest = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    paths: dict[str, list[str]] = {}
    for image in manifest.get("images", ()):
        paths.setdefault(image["split"], []).append(image["path"])
    return paths


def require_images(split: str, *, stated: Mapping[str, str], read: Collection[str]) -> None:
    """Raises ImagesDiffer unless `read` has exactly the keys of `stated`; its values are the names for people."""
    missing = [stated[key] for key in sorted(stated.keys() - set(read))]
    added = sorted(set(read) - stated.keys())
    if missing or added:
        raise images_differ(split, missing=missing, added=added)


def images_differ(split: str, *, missing: list[str], added: Iterable[str] = ()) -> ImagesDiffer:
    more = list(added)
    parts = []
    if missing:
        parts.append(f"cannot read {counted(len(missing), 'image')} of {split} ({_listed(missing)})")
    if more:
        parts.append(f"finds {counted(len(more), 'image')} in {split} beside those of the manifest ({_listed(more)})")
    detail = f"The trainer {' and '.join(parts)}."
    return ImagesDiffer(detail, split=split, missing=len(missing), added=len(more), files=[*missing, *more][:_NAMED])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
