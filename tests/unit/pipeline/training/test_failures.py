"""What a framework raises becomes a cause with a name."""

import errno

import pytest

from pipeline.training.failures import as_failure


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 - that is the point
        return caught


@pytest.mark.parametrize(
    "error, slug",
    [
        (MemoryError(), "out-of-memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out-of-memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "out-of-memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "no-space"),
        (RuntimeError("Training failed: NaN persisted for 4 epochs"), "diverged"),
        (ValueError("something else"), "trainer-crashed"),
        (OSError(errno.EACCES, "Permission denied"), "trainer-crashed"),
    ],
)
def test_a_failure_is_reported_by_its_cause(error: Exception, slug: str) -> None:
    assert as_failure(raised(error)).slug == slug


def test_a_cause_that_was_wrapped_still_counts() -> None:
    assert as_failure(raised(RuntimeError("dataset error"), OSError(errno.ENOSPC, "full"))).slug == "no-space"


def test_a_real_refusal_of_memory_by_torch_is_out_of_memory() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert as_failure(caught.value).slug == "out-of-memory"


def test_a_crash_keeps_the_end_of_its_traceback() -> None:
    facts = as_failure(raised(ValueError("odd"))).facts
    assert facts["traceback"][-1] == "ValueError: odd"
