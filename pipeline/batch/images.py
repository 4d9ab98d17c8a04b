"""The images of a batch, in their order: of a prepared tree, of a ZIP, or of a folder of fetched files."""

import json
from dataclasses import dataclass
from pathlib import Path

from core.domain.errors import ParamsInvalid
from pipeline.archive.extract import extract, is_image
from pipeline.archive.source import Rejected
from pipeline.dataset.model import SPLITS
from pipeline.model_evaluation.split_images import open_split
from pipeline.process.progress import StageReporter
from pipeline.process.specs import FETCHED_FILE, PredictBatchSpec
from pipeline.trainers.image_check import manifest_paths


@dataclass(frozen=True, slots=True)
class BatchImage:
    """`name`: of the upload, or the end of the URL. Its bytes are `size` of `file` from `at` on; without a file,
    `failure` says why there are none."""

    name: str
    file: str = ""
    at: int = 0
    size: int = 0
    split: str = ""
    url: str = ""
    failure: str = ""

    def content(self) -> bytes:
        with Path(self.file).open("rb") as opened:
            opened.seek(self.at)
            return opened.read(self.size)


def images_of(spec: PredictBatchSpec, steps: StageReporter) -> list[BatchImage]:
    """Raises ParamsInvalid for a split that the dataset lacks, ArchiveRefused, OutOfSpace, RunCancelled."""
    if spec.dataset is not None:
        return _of_tree(spec.dataset, spec.split)
    if spec.archive is not None:
        return _of_archive(spec, spec.archive, steps)
    return _of_fetched(spec.fetched) if spec.fetched is not None else []


def _of_tree(tree: Path, split: str | None) -> list[BatchImage]:
    there = manifest_paths(tree)
    wanted = [split] if split else [name for name in SPLITS if name in there]
    if split and split not in there:
        raise ParamsInvalid(f"The dataset has no {split} split.", split=split)
    return [
        BatchImage(image.path, str(image.file), image.at, image.size or image.file.stat().st_size, split=name)
        for name in wanted
        for image in open_split(tree, name).images
    ]


def _of_archive(spec: PredictBatchSpec, archive: Path, steps: StageReporter) -> list[BatchImage]:
    try:
        extracted, _ = extract(archive, spec.out, threads=spec.threads, tick=steps.tick)
    except Rejected as rejected:
        raise rejected.problem from rejected
    archive.unlink()  # its images are beside it by now
    return [BatchImage(each.name, each.file, each.at, each.bytes) for each in extracted.files if is_image(each.name)]


def _of_fetched(folder: Path) -> list[BatchImage]:
    lines = (folder / FETCHED_FILE).read_text(encoding="utf-8").splitlines()
    return [_fetched(folder, json.loads(line)) for line in lines]


def _fetched(folder: Path, line: dict[str, str]) -> BatchImage:
    if error := line.get("error"):
        return BatchImage(line["name"], url=line["url"], failure=error)
    file = folder / line["file"]
    return BatchImage(line["name"], str(file), size=file.stat().st_size, url=line["url"])
