"""The ids and the stored objects of the database that served_0008 fills."""

import hashlib
import io
import tarfile

from core.domain.keys import (
    PLOT_NAMES,
    artifact_key,
    checkpoint_key,
    dataset_key,
    log_key,
    metadata_key,
    plot_key,
    repaired_key,
    samples_key,
    upload_key,
)
from tests.builders.voc import image_bytes


def id_of(prefix: str, number: int) -> str:
    return f"{prefix}_01k6a00000000000000000000{number}"


READY, OTHER, REJECTED, REPAIR, FAILED, RECEIVED, DELETED = (id_of("job", number) for number in range(1, 8))
FIRST, SECOND, QUEUED, RUNNING, FAILED_RUN, CANCELLED, OF_DELETED = (id_of("run", number) for number in range(1, 8))
UPLOAD = id_of("upload", 1)
FINGERPRINT, REPAIRED = "a" * 64, "b" * 64
LOG = b"".join(b"epoch %d\n" % number for number in range(1, 40))


def objects() -> dict[str, bytes]:
    objects = {upload_key(job): f"the upload {job}".encode() for job in (READY, OTHER, REJECTED, FAILED, RECEIVED)}
    objects |= {dataset_key(2, name): f"the dataset {name}".encode() * 100 for name in (FINGERPRINT, REPAIRED)}
    objects[repaired_key(REPAIR, 1)] = b"the repaired upload"
    for job in (READY, OTHER, REPAIR):
        objects[metadata_key(job, 1)] = f'{{"classes": ["fox", "raccoon"], "job": "{job}"}}'.encode()
        objects |= {plot_key(job, 1, name): f"{name} of {job}".encode() for name in PLOT_NAMES}
        objects[samples_key(job, 1)] = _samples()
    for run in (FIRST, SECOND):
        names = ("best.pt", "metrics.json", "model.json")
        objects |= {artifact_key(run, 1, name): f'"{name} of {run}"'.encode() for name in names}
        objects[log_key(run, 1)] = LOG
    objects[checkpoint_key(FAILED_RUN, 1, 2)] = b"a checkpoint"
    return objects


def sha256_of(key: str) -> str:
    return hashlib.sha256(objects()[key]).hexdigest()


def _samples() -> bytes:
    content = image_bytes()
    samples = io.BytesIO()
    with tarfile.open(fileobj=samples, mode="w") as tar:
        member = tarfile.TarInfo("00.jpg")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return samples.getvalue()
