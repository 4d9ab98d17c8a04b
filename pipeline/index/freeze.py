"""The list of the test images of a prepared set, with the hashes of their crops: from its index and its tar."""

from core.domain.errors import OperationFailed
from pipeline.archive.byte_range import ByteRange
from pipeline.dataset.frozen_images import FrozenImage, without_ambiguous_crops, write_frozen_images
from pipeline.decode.phash import PHASH_BYTES
from pipeline.decode.pool import Crash, MalformedReply, decode_all
from pipeline.decode.tasks import hash_crops_of
from pipeline.index.read import read_split
from pipeline.process.progress import StageReporter
from pipeline.process.results import FROZEN_LIST_FILE, FrozenList
from pipeline.process.specs import FreezeSpec

SPLIT, OTHER_SPLITS = "test", ("train", "val")


def list_test_images(spec: FreezeSpec, steps: StageReporter) -> FrozenList:
    """Write the list below `spec.out`. Raises RunCancelled, OperationFailed for a set without test images, OSError."""
    steps.stage("hashing")
    images = read_split(spec.index, SPLIT)
    if not images:
        raise OperationFailed("The dataset has no test images.", fingerprint=spec.fingerprint)
    ranges = [ByteRange(str(spec.tar), image.at, image.bytes) for image in images]
    crops = decode_all(hash_crops_of, ranges, parse=_hashes, processes=spec.processes, tick=steps.tick)
    steps.stage("writing")
    listed = [
        # First the hash that the index has, by which the image is compared elsewhere; without its crops where decoding
        # it failed.
        FrozenImage(
            image.path,
            image.sha256,
            (image.phash or b"") + (b"" if isinstance(found, Crash) or not image.phash else found[PHASH_BYTES:]),
        )
        for image, found in zip(images, crops, strict=True)
    ]
    others = (image.phash for split in OTHER_SPLITS for image in read_split(spec.index, split) if image.phash)
    listed = without_ambiguous_crops(listed, others)
    sha256 = write_frozen_images(listed, spec.out / FROZEN_LIST_FILE, fingerprint=spec.fingerprint)
    return FrozenList(images=len(listed), sha256=sha256)


def _hashes(reply: bytes) -> bytes:
    if len(reply) % PHASH_BYTES:
        raise MalformedReply
    return reply
