"""How a training ends with a result: its model version is published.

What it shares with other leased work (claim, report, checkpoint, fail, give back, ...) is in core/services/work.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import quote

from core import clock
from core.db import Database
from core.db.tables import ArtifactRow, JobRow, RunRow, VersionRow
from core.db.transitions import change
from core.domain.ids import new_id
from core.domain.states import JobState, RunState
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.lookup import next_version
from core.services.projects.test_sets import raise_if_changed
from core.services.runs.logs import keep_log
from core.services.work.endings import end_attempt
from core.services.work.leases import Claim, ClaimLost


@dataclass(frozen=True, slots=True)
class PublishedArtifact:
    """A stored object that a version will name."""

    name: str
    key: str
    bytes: int
    sha256: str
    media_type: str


class CheckedLeak(NamedTuple):
    """`generation`: of the test set that was frozen then; None without one. `leak`: its images that a training learnt
    from; None where there are none, or the row of the run says so."""

    generation: int | None
    leak: dict[str, Any] | None


def publish_version(
    db: Database,
    claim: Claim,
    *,
    metrics: dict[str, Any],
    weights_name: str,
    artifacts: Sequence[PublishedArtifact],
    log_key: str | None,
    checked: CheckedLeak | None = None,
    on_commit: OnCommit = do_nothing,
) -> VersionRow:
    """Publish in one transaction: the next number of the project, the version with its artifacts, the run succeeded.

    `on_commit` gets the version, at the end of the transaction, which has locked its project and its job.
    Numbers are unique and without gaps: the project's counter and the guarded move commit together or not at all.
    `checked`: against the frozen test set. Raises ClaimLost, and TestSetChanged where another one is frozen by now.
    """
    with db.transaction() as session:
        before = session.get(RunRow, claim.id)
        if before is None:
            raise ClaimLost
        number = next_version(session, before.project_id)
        if checked is not None:
            raise_if_changed(session, before.project_id, checked.generation)
        ready = (JobRow.state == str(JobState.READY),)
        job = change(session, JobRow, before.job_id, "version", where=ready, last_version=number)
        if job is None:
            raise ClaimLost
        leak = before.leak if checked is None or checked.leak is None else checked.leak
        run = end_attempt(session, RunRow, claim, RunState.SUCCEEDED, version=number, leak=leak)
        keep_log(session, claim, log_key)
        version = VersionRow(
            id=new_id("version", clock.now_ms()),
            project_id=job.project_id,
            project=job.project,
            job_id=job.id,
            number=number,
            parent_id=run.parent_id,
            run_id=run.id,
            attempt=claim.attempt,
            trainer=run.trainer,
            params=run.params,
            metrics=metrics,
            fingerprint=run.fingerprint,
            leak=run.leak,
            weights_name=weights_name,
            artifacts=[
                listed_artifact(artifact, f"/models/{job.id}/v{number}")
                for artifact in sorted(artifacts, key=attrgetter("name"))
            ],
            created_at=clock.now(),
        )
        session.add(version)
        session.flush()
        session.add_all(ArtifactRow(version_id=version.id, **asdict(artifact)) for artifact in artifacts)
        on_commit(session, version)
    return version


def listed_artifact(artifact: PublishedArtifact, version_path: str) -> dict[str, Any]:
    """What answers show of an artifact, for ever: they send the stored text."""
    fields = {name: value for name, value in asdict(artifact).items() if name != "key"}
    return fields | {"links": {"self": f"{version_path}/artifacts/{quote(artifact.name)}"}}
