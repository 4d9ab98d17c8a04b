"""Revisions as ZIP files, and an extension run as its child runs it."""

from pathlib import Path
from typing import Any

from pipeline.archive.source import Rejected
from pipeline.extension.corrections import CHANGES
from pipeline.extension.run import extend
from pipeline.formats.revision import REVISION_FILE, RevisionImage, head_lines, image_line
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.progress import StageReporter
from pipeline.process.results import EXTENDED_FILE, ExtendedArchive, Prepared, read_result
from pipeline.process.specs import ExtendSpec, PrepareSpec
from tests.builders.voc import Files, image_bytes


def revision_files(kind: str, *, images: int, classes: tuple[str, ...] = ("zebra", "ant")) -> Files:
    """Classes whose order is not that of their names; every fourth image is of val."""
    files: Files = {}
    lines = list(head_lines(kind, classes))
    for number in range(images):
        path = f"set/{number:02d}.jpg"
        files[path] = image_bytes(seed=number, size=(64, 48))
        split = "val" if number % 4 == 3 else "train"
        image = RevisionImage(path, (64, 48), split)
        class_id = number // 2 % len(classes)
        if kind == "classification":
            image = image._replace(label=class_id)
        else:
            image = image._replace(boxes=((class_id, 1500, 2000, 30_000, 40_125, number % 2),))
        lines.append(image_line(image))
    return {**files, REVISION_FILE: "".join(lines).encode()}


def prepared_in(
    folder: Path,
    archive: Path,
    *,
    known: Path | None = None,
    samples: Path | None = None,
    extended: bool = False,
    exclude: Path | None = None,
) -> Prepared:
    """The ZIP prepared in `folder`, as a worker does it."""
    spec = _spec(folder, archive, known=known, samples=samples, extended=extended, exclude=exclude)
    folder.mkdir(parents=True)
    result = prepare(spec, StageReporter())
    assert isinstance(result, Prepared), result
    return result


def _spec(folder: Path, archive: Path, **known: Any) -> PrepareSpec:
    options = PrepareOptions()
    return PrepareSpec(archive=archive, out=folder, options=options, processes=2, tree=False, **known)


def extend_spec(
    folder: Path,
    parent: Path,
    before: Prepared,
    index: Path,
    *,
    additions: Path | None = None,
    changes: dict[str, Any] | None = None,
    fractions: dict[str, float] | None = None,
    verified: bool = False,
    exclude: Path | None = None,
    samples: Path | None = None,
) -> ExtendSpec:
    out = folder / "extend"
    out.mkdir(parents=True)
    if changes is not None:
        (folder / "changes.json").write_bytes(CHANGES.dump_json(CHANGES.validate_python(changes)))
    return ExtendSpec(
        out=out,
        parent=parent,
        verified=verified,
        index=index,
        kind="detection" if before.kind == "detection" else "classification",
        classes=before.classes,
        additions=additions,
        changes=None if changes is None else folder / "changes.json",
        options=PrepareOptions(),
        fractions=fractions,
        processes=2,
        prepare=_spec(
            folder / "out",
            out / EXTENDED_FILE,
            known=index,
            extended=True,
            source={},
            exclude=exclude,
            samples=samples,
        ),
    )


class Extended:
    """The next revision in `folder`: its ZIP, what the child returned, its preparation. `more`: of `extend_spec`."""

    def __init__(self, folder: Path, parent: Path, before: Prepared, index: Path, **more: Any) -> None:
        spec = extend_spec(folder, parent, before, index, **more)
        self.archive, self.out = spec.prepare.archive, spec.prepare.out
        (scratch := folder / "scratch").mkdir()
        self.result: ExtendedArchive = extend(spec, scratch)
        prepared = read_result(self.out)
        assert isinstance(prepared, Prepared), prepared
        self.prepared = prepared


__all__ = ["Extended", "Rejected", "extend_spec", "prepared_in", "revision_files"]
