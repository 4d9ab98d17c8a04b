"""The users: they upload, train, cancel and delete over HTTP, repeat what was not answered, and note what was.

Operations of a kind that only pretends to work are queued by the use case.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.chaos.worker import REAL_SEED, SCRIPTED_KIND
from core.domain.errors import OutOfSpace, Unavailable
from core.services.context import Platform
from core.services.operations.commands import queue_operation
from darkroom import Client, DarkroomError
from pipeline.samples.scenes import write_archive

IMAGES = 6
SHARED = "chaos"  # the project that several users upload into
JOINING = 0.4  # of the uploads
MOST_UNFINISHED = 8  # jobs and runs: the end of the benchmark waits for them
MOST_OPERATIONS = 3  # unfinished
ANSWER_SECONDS = 240.0  # a killed request holds its Idempotency-Key for 90 s, and its repetition may be killed too
TRAINING = {"model": "yolov8n", "imgsz": 64, "batch": 4, "pretrained": "never", "workers": 0, "device": "cpu"}
OUR_MISTAKES = ("upload-invalid", "params-invalid", "request-invalid", "not-found")
ENDED_JOB = ("ready", "rejected", "failed")
ENDED_RUN = ("succeeded", "failed", "cancelled")


class NoAnswer(Exception):
    """Not within ANSWER_SECONDS."""


@dataclass
class Ledger:
    """What the service has accepted, with 202, and the answers that it should never give."""

    uploads: dict[str, str] = field(default_factory=dict)  # job -> sha256 of what was sent
    joined: set[str] = field(default_factory=set)  # jobs that were sent to SHARED
    runs: dict[str, str] = field(default_factory=dict)  # run -> job
    operations: set[str] = field(default_factory=set)
    real_runs: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)  # slug of 4xx and 5xx -> how often
    unexpected: list[str] = field(default_factory=list)
    unanswered: int = 0


class Load:
    """Threads of users."""

    def __init__(self, platform: Platform, url: str, folder: Path, *, seed: int, real_every: int) -> None:
        self.ledger = Ledger()
        self._platform = platform
        self._url = url
        self._folder = folder
        self._real_every = real_every
        self._over = threading.Event()
        self._states: dict[str, str] = {}  # of jobs, runs and operations, as last read
        self._trained: Counter[str] = Counter()
        # Two of a kind: one may wait 90 s for the Idempotency-Key of a request that was killed.
        users = (*[self._upload_whole] * 2, *[self._upload_in_chunks] * 2, *[self._train] * 2, self._operate)
        self._threads = [
            threading.Thread(target=self._repeat, args=(user, Random(f"{seed} {number}"), number), daemon=True)
            for number, user in enumerate(users)
        ]

    def start(self) -> None:
        self._folder.mkdir()
        for thread in self._threads:
            thread.start()

    def is_under_way(self) -> bool:
        """Whether an upload, a run and an operation have been accepted, so that each can meet a fault."""
        return bool(self.ledger.uploads and self.ledger.runs and self.ledger.operations)

    def stop(self) -> bool:
        """Request the end. False until each user has the answer to its last request."""
        self._over.set()
        return not any(thread.is_alive() for thread in self._threads)

    def _repeat(self, user: Any, rng: Random, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=20.0, trust_env=False) as client:
            while not self._over.wait(rng.uniform(0.3, 1.0)):
                try:
                    user(client, rng, number)
                except NoAnswer:
                    self.ledger.unanswered += 1
                except Exception as error:  # noqa: BLE001 - a user that ends would make the benchmark easier
                    self.ledger.unexpected.append(f"{user.__name__}: {type(error).__name__}: {error}")

    def _upload_whole(self, client: httpx.Client, rng: Random, number: int) -> None:
        if self._unfinished("job", "run") >= MOST_UNFINISHED:
            return
        archive = self._archive(rng, number)
        files, fields = {"file": (archive.name, archive.read_bytes(), "application/zip")}, _project(rng)
        answer = self._ask(client, "POST", "/upload-dataset", rng, params=fields, files=files)
        if answer.status_code == 202:
            self._note_upload(answer.json()["job_id"], _sha256(archive), fields)

    def _upload_in_chunks(self, _client: httpx.Client, rng: Random, number: int) -> None:
        if self._unfinished("job", "run") >= MOST_UNFINISHED:
            return
        archive, dataset, fields = self._archive(rng, number), None, _project(rng)
        records, ends = self._folder / f"records-{number}", time.monotonic() + ANSWER_SECONDS
        with Client(self._url, http=httpx.Client(trust_env=False)) as uploading:
            while dataset is None:
                with suppress(DarkroomError):  # it resumes from its record
                    dataset = uploading.datasets.upload(
                        archive, project=fields.get("project"), preflight=False, wait=False, records=records
                    )
                if dataset is None and time.monotonic() > ends:
                    raise NoAnswer
                time.sleep(rng.uniform(0.2, 0.6))
        self._note_upload(dataset.job_id, _sha256(archive), fields)

    def _train(self, client: httpx.Client, rng: Random, _number: int) -> None:
        """Reads what is unfinished; then trains a ready job, cancels a run, or deletes a job."""
        for subject, state in list(self._states.items()):
            if state not in (*ENDED_JOB, *ENDED_RUN, "deleted"):
                self._read(client, rng, subject)
        for job_id, state in list(self._states.items()):
            if state != "ready" or self._trained[job_id]:
                continue
            self._trained[job_id] += 1
            for _ in range(rng.choice([1, 2, 3])):
                self._queue_run(client, rng, job_id)
        if rng.random() < 0.04:
            self._cancel(client, rng, self.ledger.runs)
        if rng.random() < 0.01:
            self._delete(client, rng)

    def _operate(self, client: httpx.Client, rng: Random, _number: int) -> None:
        """Queues an operation, one of two targets at a time; now and then cancels one."""
        if self._unfinished("operation") >= MOST_OPERATIONS:
            return
        params, target = {"steps": rng.randint(1, 40)}, rng.choice([None, "one", "two"])
        with suppress(Unavailable, OutOfSpace):
            operation_id = queue_operation(self._platform, SCRIPTED_KIND, params, target=target).id
            self.ledger.operations.add(operation_id)
            self._states[operation_id] = "queued"
        if rng.random() < 0.04:
            self._cancel(client, rng, self.ledger.operations)

    def _queue_run(self, client: httpx.Client, rng: Random, job_id: str) -> None:
        real = len(self.ledger.runs) % self._real_every == self._real_every - 1
        params = {**TRAINING, "epochs": 1 if real else rng.randint(2, 30), "seed": REAL_SEED if real else 0}
        answer = self._ask(client, "POST", f"/train-async/{job_id}", rng, json={"trainer": "yolo", "params": params})
        if answer.status_code == 202:
            run_id = answer.json()["run_id"]
            self.ledger.runs[run_id] = job_id
            self.ledger.real_runs |= {run_id} if real else set()
            self._states[run_id] = "queued"

    def _cancel(self, client: httpx.Client, rng: Random, ids: Collection[str]) -> None:
        active = [row_id for row_id in sorted(ids) if self._states.get(row_id) in ("queued", "running")]
        if active:
            row_id = rng.choice(active)
            if self._ask(client, "POST", f"{_path(row_id)}/cancel", rng).status_code == 202:
                self.ledger.cancelled.add(row_id)

    def _delete(self, client: httpx.Client, rng: Random) -> None:
        """A job that is not being trained; the next upload of the same images makes its dataset anew."""
        busy = {job for run, job in list(self.ledger.runs.items()) if self._states.get(run) not in ENDED_RUN}
        ended = [job for job in list(self.ledger.uploads) if self._states.get(job) == "ready" and job not in busy]
        if ended:
            job_id = rng.choice(ended)
            if self._ask(client, "DELETE", f"/jobs/{job_id}", rng).status_code in (200, 410):
                self.ledger.deleted.add(job_id)
                self._states[job_id] = "deleted"

    def _read(self, client: httpx.Client, rng: Random, subject: str) -> None:
        answer = self._ask(client, "GET", _path(subject), rng)
        if answer.status_code == 200:
            self._states[subject] = answer.json()["state"]
        elif answer.status_code == 410:
            self._states[subject] = "deleted"

    def _ask(self, client: httpx.Client, method: str, path: str, rng: Random, **request: Any) -> httpx.Response:
        """The answer, which is not one of those after which a request is repeated. Raises NoAnswer."""
        headers = {"Idempotency-Key": f"{rng.getrandbits(64):016x}"} if method == "POST" else {}
        ends = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < ends:
            with suppress(httpx.TransportError):
                answer = client.request(method, path, headers=headers, **request)
                if not self._is_transient(answer):
                    return answer
            time.sleep(rng.uniform(0.2, 0.6))
        raise NoAnswer

    def _is_transient(self, answer: httpx.Response) -> bool:
        if answer.status_code < 400:
            return False
        slug = str(answer.json().get("slug"))
        self.ledger.refused[slug] += 1
        if answer.status_code == 500 or slug in OUR_MISTAKES:
            self.ledger.unexpected.append(f"{answer.request.method} {answer.request.url.path}: 500 {answer.text[:300]}")
        return answer.status_code >= 500 or slug in ("request-in-flight", "upload-locked")

    def _note_upload(self, job_id: str, sha256: str, fields: dict[str, str]) -> None:
        self.ledger.uploads[job_id] = sha256
        self.ledger.joined |= {job_id} if fields else set()
        self._states[job_id] = "received"

    def _unfinished(self, *nouns: str) -> int:
        ended = (*ENDED_JOB, *ENDED_RUN, "deleted")
        return sum(state not in ended for row_id, state in list(self._states.items()) if row_id.startswith(nouns))

    def _archive(self, rng: Random, number: int) -> Path:
        """A new set, or the same images as before: two jobs then share a prepared set."""
        made = sorted(self._folder.glob("*.zip"))
        if made and rng.random() < 0.3:
            return rng.choice(made)
        seed = rng.getrandbits(30)
        path = self._folder / f"set-{number}-{seed}.zip"
        partial = path.with_suffix(".part")
        write_archive(partial, scenes=IMAGES, seed=seed)
        return partial.rename(path)


def _sha256(archive: Path) -> str:
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _path(row_id: str) -> str:
    """`/runs/run_...`"""
    return f"/{row_id.partition('_')[0]}s/{row_id}"


def _project(rng: Random) -> dict[str, str]:
    """The option of an upload into the shared project; none for a project of its own."""
    return {"project": SHARED} if rng.random() < JOINING else {}
