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
from pipeline.process.results import EXTENDED_FILE, WRITTEN_FILE, ExtendedArchive, Prepared
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
    written: Path | None = None,
    samples: Path | None = None,
    extended: bool = False,
    exclude: Path | None = None,
) -> Prepared:
    """The ZIP prepared in `folder`, as a worker does it."""
    spec = PrepareSpec(
        archive=archive,
        out=folder,
        options=PrepareOptions(),
        processes=2,
        known=known,
        written=written,
        samples=samples,
        extended=extended,
        exclude=exclude,
        tree=False,
    )
    folder.mkdir(parents=True)
    result = prepare(spec, StageReporter())
    assert isinstance(result, Prepared), result
    return result


class Extended:
    """The next revision in `folder`: its ZIP, what the child returned, and its preparation."""

    def __init__(
        self,
        folder: Path,
        parent: Path,
        before: Prepared,
        index: Path,
        *,
        additions: Path | None = None,
        changes: dict[str, Any] | None = None,
        fractions: dict[str, float] | None = None,
        verified: bool = False,
    ) -> None:
        out, scratch = folder / "extend", folder / "scratch"
        out.mkdir(parents=True)
        scratch.mkdir()
        if changes is not None:
            (folder / "changes.json").write_bytes(CHANGES.dump_json(CHANGES.validate_python(changes)))
        spec = ExtendSpec(
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
        )
        self.result: ExtendedArchive = extend(spec, scratch, StageReporter())
        self.archive = out / EXTENDED_FILE
        self.out = folder / "out"
        self.prepared = prepared_in(self.out, self.archive, known=index, written=out / WRITTEN_FILE, extended=True)


__all__ = ["Extended", "Rejected", "prepared_in", "revision_files"]
