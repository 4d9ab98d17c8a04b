"""Where the ZIP of a job comes from, besides an upload and a hub: what was requested, and what its worker found."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

ImportKind = Literal["url", "s3", "folder", "dataset", "sample"]
Sample = Literal["shapes"]


class ImportOrigin(BaseModel):
    """`location`: a URL without its query, `s3://bucket/prefix`, a path, the id of the job whose ZIP it is, or the name of
    a sample. `query`: of a URL; it may hold a signature, so it is never displayed, and forgotten once the ZIP is stored.
    `sha256`: of the ZIP, as requested, then as found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ImportKind
    location: str
    query: str | None = None
    sha256: str | None = None
    etag: str | None = None
    files: int | None = None
    bytes: int | None = None

    @property
    def url(self) -> str:
        """With its query."""
        return f"{self.location}?{self.query}" if self.query else self.location

    def displayed(self) -> dict[str, Any]:
        """What anybody may see, as JSON values."""
        return self.model_dump(mode="json", exclude={"query"}, exclude_none=True)

    def without_query(self) -> "ImportOrigin":
        return self.model_copy(update={"query": None})
