"""Every object key, spelt once. Keys are remote; paths are local; links are for people."""


def upload_key(job_id: str) -> str:
    return f"uploads/{job_id}/source.zip"


def upload_part_key(upload_id: str, start: int, token: str) -> str:
    """A piece of a resumable upload. `token` is the writer's: one that lost its hold overwrites nobody's piece."""
    return f"{upload_prefix(upload_id)}{start:015d}-{token}"


def upload_prefix(upload_id: str) -> str:
    return f"uploads/{upload_id}/parts/"


def repaired_key(job_id: str, attempt: int) -> str:
    return f"uploads/{job_id}/{attempt}/repaired.zip"


def imported_key(job_id: str, attempt: int) -> str:
    return f"uploads/{job_id}/{attempt}/imported.zip"


def dataset_key(layout_version: int, fingerprint: str) -> str:
    return f"datasets/{layout_version}/{fingerprint}.tar"


def metadata_key(job_id: str, attempt: int) -> str:
    return f"jobs/{job_id}/{attempt}/dataset_metadata.json"


PLOTS = ("class_distribution", "resolution_scatter", "box_centres")  # what prepare draws of a dataset


def plots_of(kind: str | None) -> tuple[str, ...]:
    """Those that say something of this kind of dataset."""
    return tuple(name for name in PLOTS if name != "box_centres" or kind == "detection")


def plot_key(job_id: str, attempt: int, name: str) -> str:
    return f"jobs/{job_id}/{attempt}/plots/{name}.png"


def samples_key(job_id: str, attempt: int) -> str:
    """A tar of annotated thumbnails."""
    return f"jobs/{job_id}/{attempt}/samples.tar"


def metadata_key_beside(key: str) -> str | None:
    """The metadata's key of the attempt that made this object of a job; None for an object of another kind."""
    parts = key.split("/")
    return "/".join((*parts[:3], "dataset_metadata.json")) if parts[0] == "jobs" and len(parts) > 3 else None


def run_prefix(run_id: str, attempt: int) -> str:
    """Object keys of a run hold its attempt: a worker presumed dead cannot overwrite its successor."""
    return f"runs/{run_id}/{attempt}/"


def checkpoint_key(run_id: str, attempt: int, epoch: int) -> str:
    return f"{run_prefix(run_id, attempt)}checkpoints/{epoch:06d}.tar"


def artifact_key(run_id: str, attempt: int, name: str) -> str:
    return f"{run_prefix(run_id, attempt)}artifacts/{name}"


def log_key(run_id: str, attempt: int) -> str:
    return f"{run_prefix(run_id, attempt)}train.log"


def job_prefixes(job_id: str) -> tuple[str, ...]:
    """What a deleted job leaves to sweep, its runs excepted."""
    return (f"uploads/{job_id}/", f"jobs/{job_id}/")
