"""The files of an extracted archive, and the rejection of one that cannot be used."""

from dataclasses import dataclass

from core.domain.errors import DatasetRejected
from core.domain.findings import Finding
from pipeline.archive.byte_range import ByteRange

REPAIR_LOG = "darkroom-repairs.jsonl"  # the log of every change, in the root of a repaired ZIP
EXTENSION_LOG = "darkroom-extension.jsonl"  # what an extension changed, in the root of its ZIP


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One extracted file. `name` is its NFC posix path in the archive; its bytes are those of `file` from `at` on.

    `sha256` is that of an image's bytes, and empty for other files.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    at: int = 0

    @property
    def byte_range(self) -> ByteRange:
        return ByteRange(self.file, self.at, self.bytes)


@dataclass(frozen=True, slots=True)
class ExtractedArchive:
    """The files of an archive, sorted by name. `left_out`: names of the entries that cannot be data.

    `folders`: those that have an entry of their own, as an empty one must; without a slash at the end.
    """

    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...]
    folders: tuple[str, ...] = ()


class Rejected(Exception):
    """The user's data cannot be used. Carries every finding; the job ends as `rejected`."""

    def __init__(self, problem: DatasetRejected, findings: list[Finding]) -> None:
        self.problem = problem
        self.findings = findings
        super().__init__(problem.detail)
