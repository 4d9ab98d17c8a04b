"""JSON of what a project stores, of how long it keeps it, and of the requests that free room."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas import Links, Timestamp
from api.schemas.jobs import timestamp
from api.schemas.links import link
from api.schemas.operations import Operation, operation_of
from core.domain.retention import KEEP_VERSIONS, MAX_DAYS, MEANINGS, FreeableKind, Retention
from core.services.paging import Page
from core.services.storage.freeable import Amount
from core.services.storage.purge import FreeableItem, PurgeChoice, PurgePlan
from core.services.storage.usage import Stored, Usage
from core.settings import Settings

_NEVER = "Null: for ever."


def _days(what: str, default: str) -> Any:
    return Field(None, ge=0, le=MAX_DAYS, description=f"Days that {what} are kept. {default}")


class RetentionSettings(BaseModel):
    """For how long a project keeps what can be deleted. Whatever an alias points at, a test set, and what unfinished
    work needs stays in any case."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"source_days": 365, "batch_prediction_days": 30}]}
    )

    source_days: float | None = _days("uploaded ZIPs of ended jobs", "Null: `DARKROOM_KEEP_SOURCE_DAYS`.")
    checkpoint_days: float | None = _days("checkpoints of ended runs", "Null: `DARKROOM_KEEP_CHECKPOINT_DAYS`.")
    version_days: float | None = _days("versions without an alias, but for the newest", _NEVER)
    dataset_export_days: float | None = _days("exports of datasets, which are made again on request,", _NEVER)
    export_days: float | None = _days("exports whose certificate did not pass", _NEVER)
    bundle_days: float | None = _days("bundles, which are made again when they are downloaded,", _NEVER)
    evaluation_days: float | None = _days("evaluations of old versions without an alias", _NEVER)
    batch_prediction_days: float | None = _days("results of batches of predictions", _NEVER)
    keep_versions: int = Field(KEEP_VERSIONS, ge=1, le=1_000_000, description="The newest versions, which stay.")


class StoredKind(BaseModel):
    """Objects of one kind."""

    kind: str = Field(examples=["prepared_sets"])
    count: int = Field(description="Number of objects.", examples=[4])
    bytes: int = Field(examples=[734003200])
    shared_bytes: int = Field(
        description="How many of these bytes datasets of other projects use as well. Each project counts them whole.",
        examples=[0],
    )
    unmeasured: int = Field(
        description="Objects among them whose bytes are not known: checkpoints stored before bytes were recorded."
    )


class FreeableAmount(BaseModel):
    """What of one kind could be deleted now."""

    kind: FreeableKind
    count: int = Field(examples=[2])
    bytes: int = Field(examples=[104857600])
    reason: str = Field(description="Why nothing needs it.", examples=[MEANINGS[FreeableKind.CHECKPOINTS].reason])
    lost: str = Field(
        description="What is not possible afterwards.", examples=[MEANINGS[FreeableKind.CHECKPOINTS].lost]
    )


class ProjectStorage(BaseModel):
    """What a project stores, by kind, and what could be deleted."""

    project: str = Field(examples=["raccoons"])
    bytes: int = Field(description="The sum of all kinds.", examples=[1073741824])
    stored: list[StoredKind]
    freeable_bytes: int = Field(description="The sum of `freeable`.", examples=[209715200])
    freeable: list[FreeableAmount] = Field(
        description="What a purge of all kinds would delete, each object once; what goes with a version counts there."
    )
    retention: RetentionSettings = Field(description="In effect: days that the project does not set are the service's.")
    links: Links


class NewPurge(BaseModel):
    """What to delete of a project."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"dry_run": False, "kinds": ["checkpoints", "bundles"]}]}
    )

    dry_run: bool = Field(True, description="Only answer what would be deleted. `false` deletes it, for ever.")
    kinds: list[FreeableKind] = Field(
        default_factory=list, max_length=20, description="By default all in a dry run; needed with `dry_run: false`."
    )
    older_than_days: float = Field(
        0, ge=0, le=MAX_DAYS, description="Only what was made, or has ended, at least so many days ago."
    )
    keep_versions: int | None = Field(
        None, ge=1, le=1_000_000, description="The newest versions, which stay. By default as the project's retention."
    )

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.dry_run and not self.kinds:
            kinds = ", ".join(FreeableKind)
            raise ValueError(f"`kinds` is empty: with `dry_run: false` it names what to delete, of {kinds}")
        return self

    def choice(self) -> PurgeChoice:
        kinds = self.kinds or list(FreeableKind)
        return PurgeChoice(kinds, older_than_days=self.older_than_days, keep_versions=self.keep_versions)


class PurgeItem(BaseModel):
    """One row whose objects are deleted."""

    kind: FreeableKind
    id: str = Field(
        description="Of the version, job, run, export or evaluation; of the operation that made the others."
    )
    name: str | None = Field(description="Of the version or the dataset.", examples=["raccoons/v3"])
    bytes: int | None = Field(description="Null: not known.", examples=[6291456])
    at: Timestamp = Field(description="When it was made; of jobs and runs, when it ended.")


class Purge(BaseModel):
    """What a purge deletes, as things are now, or what the operation that was queued will delete."""

    project: str = Field(examples=["raccoons"])
    dry_run: bool
    before: Timestamp = Field(description="Only what is older.")
    keep_versions: int = Field(examples=[KEEP_VERSIONS])
    count: int = Field(examples=[2])
    bytes: int = Field(examples=[104857600])
    freeable: list[FreeableAmount]
    items: list[PurgeItem] = Field(description="By kind, in the order in which they are deleted.")
    next_cursor: str | None = Field(None, description="Of a dry run: send it as `cursor` to get the next page.")
    operation: Operation | None = Field(description="The one that deletes; null for a dry run.")


def storage_of(usage: Usage, settings: Settings) -> ProjectStorage:
    path = f"/projects/{usage.project.slug}"
    return ProjectStorage(
        project=usage.project.slug,
        bytes=sum(each.bytes for each in usage.stored),
        stored=[_stored(each) for each in usage.stored],
        freeable_bytes=sum(each.bytes for each in usage.freeable.values()),
        freeable=_freeable(usage.freeable),
        retention=_in_effect(usage.retention, settings),
        links={"self": link(f"{path}/storage"), "project": link(path), "purge": link(f"{path}/purge")},
    )


def purge_of(plan: PurgePlan) -> Purge:
    return Purge(
        project=plan.project.slug,
        dry_run=plan.operation is None,
        before=timestamp(plan.scope.before),
        keep_versions=plan.scope.keep_versions,
        count=sum(each.count for each in plan.amounts.values()),
        bytes=sum(each.bytes for each in plan.amounts.values()),
        freeable=_freeable(plan.amounts),
        items=_items(plan.items),
        next_cursor=plan.items.next_cursor if plan.operation is None else None,
        operation=None
        if plan.operation is None
        else operation_of(plan.operation, {plan.project.id: plan.project.slug}),
    )


def status_of_purge(plan: PurgePlan) -> int:
    return 200 if plan.operation is None else 202


def _stored(each: Stored) -> StoredKind:
    return StoredKind(
        kind=each.kind,
        count=each.count,
        bytes=each.bytes,
        shared_bytes=each.shared_bytes,
        unmeasured=each.unmeasured,
    )


def _freeable(amounts: Mapping[FreeableKind, Amount]) -> list[FreeableAmount]:
    return [
        FreeableAmount(
            kind=kind,
            count=amount.count,
            bytes=amount.bytes,
            reason=MEANINGS[kind].reason,
            lost=MEANINGS[kind].lost,
        )
        for kind in FreeableKind
        if (amount := amounts.get(kind)) is not None
    ]


def _items(page: Page[FreeableItem]) -> list[PurgeItem]:
    return [
        PurgeItem(kind=each.kind, id=each.id, name=each.name, bytes=each.bytes, at=timestamp(each.at))
        for each in page.items
    ]


def _in_effect(retention: Retention, settings: Settings) -> RetentionSettings:
    own = RetentionSettings.model_validate(retention, from_attributes=True)
    installation = {"source_days": settings.keep_source_days, "checkpoint_days": settings.keep_checkpoint_days}
    return own.model_copy(update={name: days for name, days in installation.items() if getattr(own, name) is None})
