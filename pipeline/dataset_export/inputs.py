"""Where the images of an export come from: the uploaded ZIP, or the prepared set where that ZIP is not stored."""

from collections.abc import Callable
from pathlib import Path

from core.domain.errors import OperationFailed
from pipeline.archive.byte_range import ByteRange
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.hub.uploaded_tables import extract_dataset
from pipeline.index.read import read_contents
from pipeline.index.schema import IndexedImage
from pipeline.process.progress import StageReporter


def contents_of_upload(
    archive: Path, scratch: Path, index: Path, *, threads: int, steps: StageReporter
) -> Callable[[IndexedImage], ByteRange]:
    """Extracts `archive` into `scratch`. Raises OperationFailed where an image is not in it, OutOfSpace."""
    steps.stage("extracting")
    try:
        source, _ = extract_dataset(archive, scratch, threads=threads, steps=steps)
    except Rejected as rejected:  # it was accepted when it was prepared
        detail = f"The uploaded ZIP can no longer be read: {rejected.problem.detail}"
        raise OperationFailed(detail, problem=rejected.problem.slug) from rejected
    ranges = _by_path(source, index)
    return lambda image: ranges[image.path]


def contents_of_set(tar: Path) -> Callable[[IndexedImage], ByteRange]:
    """`tar`: a prepared set, of which the index has the places."""
    return lambda image: ByteRange(str(tar), image.at, image.bytes)


def _by_path(source: ExtractedArchive, index: Path) -> dict[str, ByteRange]:
    """Of each image of the index. They lie below the folder where all of them are found with their digests."""
    wanted = {each.path: each.sha256 for each in read_contents(index)}
    files = {file.name: file for file in source.files}
    first, digest = next(iter(wanted.items()))
    found = (name for name, file in files.items() if file.sha256 == digest and f"/{name}".endswith(f"/{first}"))
    for root in sorted(name[: len(name) - len(first)] for name in found):
        if all((file := files.get(f"{root}{path}")) and file.sha256 == sha for path, sha in wanted.items()):
            return {path: files[f"{root}{path}"].byte_range for path in wanted}
    raise OperationFailed("The uploaded ZIP does not hold all images of the prepared dataset.", images=len(wanted))
