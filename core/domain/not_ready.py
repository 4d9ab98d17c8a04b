"""The problem of a request that needs a ready job."""

from core.domain.errors import JobNotReady
from core.domain.states import JobState

_NEXT = {
    JobState.RECEIVED: "wait for it with GET /jobs/{id}?wait=60.",
    JobState.PREPARING: "wait for it with GET /jobs/{id}?wait=60.",
    JobState.REJECTED: "the `problem` of GET /jobs/{id} says why.",
    JobState.FAILED: "POST /jobs/{id}/retry prepares it again.",
}


def not_ready(job_id: str, state: str) -> JobNotReady:
    """Its detail says what to do, by the state of the job."""
    advice = _NEXT.get(JobState(state), "its dataset is not there.").format(id=job_id)
    return JobNotReady(f"The job is {state}: {advice}", job_id=job_id, state=state, links={"job": f"/jobs/{job_id}"})
