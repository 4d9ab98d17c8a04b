"""Every object key, spelt in this file alone. A key is remote, a path is local, a link is for people."""

import re

DATASETS = "datasets/"
UPLOADS = "uploads/"
_DERIVED = ("exports/", "evaluations/", "bundles/", "batch_predictions/", "dataset_exports/")
ROOTS = (UPLOADS, "jobs/", "runs/", "operations/", "versions/", "test_sets/", *_DERIVED, DATASETS, "probe/")
PLOT_NAMES = ("class_distribution", "resolution_scatter", "box_centres")  # those that prepare draws of a dataset

_OF_JOB = re.compile(r"jobs/([^/]+)/(\d+)/")
_DATASET = re.compile(r"datasets/(\d+)/([0-9a-f]{64})\.tar")
_THUMBNAIL = re.compile(r"datasets/\d+/([0-9a-f]{64})/thumbnails/.+")


def upload_key(job_id: str) -> str:
    return f"uploads/{job_id}/source.zip"


def upload_part_key(upload_id: str, start: int, token: str) -> str:
    """A piece of a resumable upload. `token` is the writer's: one whose lease is lost overwrites no other's piece."""
    return f"{upload_prefix(upload_id)}{start:015d}-{token}"


def upload_prefix(upload_id: str) -> str:
    return f"uploads/{upload_id}/parts/"


def repaired_key(job_id: str, attempt: int) -> str:
    return f"uploads/{job_id}/{attempt}/repaired.zip"


def imported_key(job_id: str, attempt: int) -> str:
    return f"uploads/{job_id}/{attempt}/imported.zip"


def extended_key(job_id: str, attempt: int) -> str:
    return f"uploads/{job_id}/{attempt}/extended.zip"


def corrections_key(job_id: str) -> str:
    """What an extension corrects."""
    return f"uploads/{job_id}/corrections.json"


def dataset_key(layout_version: int, fingerprint: str) -> str:
    return f"datasets/{layout_version}/{fingerprint}.tar"


def dataset_of(key: str) -> tuple[int, str] | None:
    """The layout version and the fingerprint in a key made by `dataset_key`; None for another key."""
    match = _DATASET.fullmatch(key)
    return (int(match[1]), match[2]) if match else None


def beside_dataset(layout_version: int, fingerprint: str) -> str:
    """The prefix of what lies beside a prepared set, and is deleted with it: its image index, thumbnails."""
    return f"datasets/{layout_version}/{fingerprint}/"


def image_index_key(layout_version: int, fingerprint: str, made_by: str) -> str:
    """`made_by`: an attempt, as `{id}-{number}`. Of several, the row names that of the set."""
    return f"{beside_dataset(layout_version, fingerprint)}images-{made_by}.sqlite"


def thumbnail_key(layout_version: int, fingerprint: str, name: str) -> str:
    return f"{thumbnails_prefix(layout_version, fingerprint)}{name}.jpg"


def thumbnails_prefix(layout_version: int, fingerprint: str) -> str:
    return f"{beside_dataset(layout_version, fingerprint)}thumbnails/"


def thumbnail_of(key: str) -> str | None:
    """The fingerprint in a key made by `thumbnail_key`; None for another key."""
    match = _THUMBNAIL.fullmatch(key)
    return match[1] if match else None


def metadata_key(job_id: str, attempt: int) -> str:
    return f"jobs/{job_id}/{attempt}/dataset_metadata.json"


def metadata_key_beside(key: str) -> str | None:
    """The metadata's key of the attempt that made this object of a job; None for an object of another kind."""
    match = _OF_JOB.match(key)
    return metadata_key(match[1], int(match[2])) if match else None


def plots_of(kind: str | None) -> tuple[str, ...]:
    """The plots that this kind of dataset has."""
    return tuple(name for name in PLOT_NAMES if name != "box_centres" or kind == "detection")


def plot_key(job_id: str, attempt: int, name: str) -> str:
    return f"jobs/{job_id}/{attempt}/plots/{name}.png"


def samples_key(job_id: str, attempt: int) -> str:
    """A tar of annotated thumbnails."""
    return f"jobs/{job_id}/{attempt}/samples.tar"


def checkpoint_key(run_id: str, attempt: int, epoch: int) -> str:
    return f"{checkpoints_prefix(run_id, attempt)}{epoch:06d}.tar"


def checkpoints_prefix(run_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(run_id, attempt)}checkpoints/"


def artifact_key(run_id: str, attempt: int, name: str) -> str:
    return f"{artifacts_prefix(run_id, attempt)}{name}"


def artifacts_prefix(run_id: str, attempt: int) -> str:
    """Of the version that this attempt published."""
    return f"{_attempt_prefix(run_id, attempt)}artifacts/"


def log_key(run_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(run_id, attempt)}train.log"


def job_prefixes(job_id: str) -> tuple[str, ...]:
    """The objects of a job, without those of its runs."""
    return (f"uploads/{job_id}/", described_prefix(job_id))


def described_prefix(job_id: str) -> str:
    """What describes the dataset of a job: metadata, plots and samples, of every attempt."""
    return f"jobs/{job_id}/"


def run_prefix(run_id: str) -> str:
    return f"runs/{run_id}/"


def operation_input_key(operation_id: str, name: str) -> str:
    """What a request sent for an operation to work on; stored before its row."""
    return f"{operation_prefix(operation_id)}input/{name}"


def operation_key(operation_id: str, attempt: int, name: str) -> str:
    """What an attempt needs in the store until it ends."""
    return f"{operation_prefix(operation_id)}{attempt}/{name}"


def operation_prefix(operation_id: str) -> str:
    return f"operations/{operation_id}/"


def imported_artifact_key(operation_id: str, attempt: int, name: str) -> str:
    """An artifact of a version that was imported: it stays, the operation's own objects do not."""
    return f"{imported_prefix(operation_id)}{attempt}/{name}"


def imported_prefix(operation_id: str) -> str:
    return f"versions/{operation_id}/"


def export_key(operation_id: str, attempt: int, name: str) -> str:
    """The file of an export, by the operation that made it."""
    return f"exports/{operation_id}/{attempt}/{name}"


def evaluation_key(operation_id: str, attempt: int, name: str) -> str:
    """A file of an evaluation, by the operation that made it."""
    return f"evaluations/{operation_id}/{attempt}/{name}"


def frozen_list_key(operation_id: str, attempt: int) -> str:
    """The list of the images of a frozen test set, by the operation that froze it."""
    return f"test_sets/{operation_id}/{attempt}/frozen_images.json"


def bundle_key(operation_id: str, attempt: int) -> str:
    """The bundle of a version, by the operation that made it."""
    return f"bundles/{operation_id}/{attempt}/bundle.zip"


def batch_key(operation_id: str, attempt: int, name: str) -> str:
    """A file of a batch prediction, by the operation that made it."""
    return f"batch_predictions/{operation_id}/{attempt}/{name}"


def dataset_export_key(operation_id: str, attempt: int) -> str:
    """The ZIP of an exported dataset, by the operation that made it."""
    return f"dataset_exports/{operation_id}/{attempt}/dataset.zip"


def derived_prefix(made: str, operation_id: str) -> str:
    """The objects of a row of the table `made`, one of those in _DERIVED, of every attempt at it."""
    return f"{made}/{operation_id}/"


def probe_key(token: str) -> str:
    return f"probe/{token}"


def owner_of(key: str) -> str:
    """The id of the job, upload, run or operation in a key; for a dataset its layout version."""
    return key.split("/", 2)[1]


def _attempt_prefix(run_id: str, attempt: int) -> str:
    """Keys of a run hold its attempt: a worker presumed dead cannot overwrite its successor."""
    return f"{run_prefix(run_id)}{attempt}/"
