"""Object keys are spelt in core/domain/keys.py alone, and the time comes from core/clock.py alone."""

import re
from collections.abc import Iterator
from pathlib import Path

from core.domain.keys import (
    checkpoint_key,
    dataset_key,
    dataset_of,
    metadata_key,
    metadata_key_beside,
    owner_of,
    plot_key,
)
from tests import REPOSITORY

KEY = re.compile(
    r"""["'](?:uploads|jobs|runs|datasets|probe)/[^"']*(?<!\.html)["']"""
)  # templates have folders of such names
CLOCK = re.compile(r"\b(?:time\.(?:time|monotonic|perf_counter)|datetime\.(?:now|utcnow))(?:_ns)?\(")


def test_no_other_file_spells_an_object_key() -> None:
    assert files_with(KEY) == ["core/domain/keys.py"]


def test_no_other_file_reads_the_time() -> None:
    assert files_with(CLOCK) == ["core/clock.py"]


def test_a_key_gives_back_what_it_was_made_of() -> None:
    fingerprint = "0f" * 32
    assert dataset_of(dataset_key(2, fingerprint)) == (2, fingerprint)
    assert dataset_of(checkpoint_key("run_1", 1, 3)) is None
    assert owner_of(checkpoint_key("run_1", 1, 3)) == "run_1"
    assert metadata_key_beside(plot_key("job_1", 2, "box_centres")) == metadata_key("job_1", 2)
    assert metadata_key_beside(dataset_key(2, fingerprint)) is None


def files_with(pattern: re.Pattern[str]) -> list[str]:
    return sorted(str(path.relative_to(REPOSITORY)) for path in sources() if pattern.search(path.read_text()))


def sources() -> Iterator[Path]:
    for package in ("api", "core", "worker"):
        yield from (REPOSITORY / package).rglob("*.py")
