"""JSON of a request to import a dataset from a hub."""

from pydantic import ConfigDict, Field, field_validator

from core.domain.slugs import MAX_SLUG
from pipeline.params.hub_set import REPOSITORY, REVISION, SUBSET, HubSet, RequestedColumns, checked_splits
from pipeline.params.prepare import PrepareOptions

COMMIT = "6e5b1a2d3c4f5061728394a5b6c7d8e9f0a1b2c3"


class ImportRequest(PrepareOptions, RequestedColumns):
    """A dataset of images with class labels on a hub, with the options of an upload."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"huggingface": "Bingsu/Human_Action_Recognition", "name": "actions", "val_fraction": 0.15},
                {"huggingface": "org/name", "revision": COMMIT, "splits": ["train", "validation", "test"]},
            ]
        },
    )

    huggingface: str = Field(
        pattern=REPOSITORY,
        description="Name of the repository on the hub.",
        examples=["Bingsu/Human_Action_Recognition"],
    )
    revision: str | None = Field(
        None,
        pattern=REVISION,
        description="A commit, tag or branch. By default the newest commit.",
        examples=[COMMIT],
    )
    subset: str | None = Field(
        None,
        pattern=SUBSET,
        description="The subset (configuration) to import. Required where the repository has several.",
    )
    splits: tuple[str, ...] = Field(
        ("train",),
        min_length=1,
        max_length=3,
        description="The splits to import. One is split again; several (of train, validation, test) are kept.",
    )
    name: str | None = Field(None, max_length=200, description="Name of the job. By default that of the repository.")
    project: str | None = Field(
        None,
        max_length=MAX_SLUG,
        description="Name of the project that the dataset joins, which is created if there is none.",
        examples=["actions"],
    )

    @field_validator("splits")
    @classmethod
    def check_splits(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        return checked_splits(splits)

    def hub_set(self) -> HubSet:
        names = set(HubSet.model_fields) & set(ImportRequest.model_fields)
        return HubSet(repository=self.huggingface, **{name: getattr(self, name) for name in names})

    def options(self) -> PrepareOptions:
        return PrepareOptions(**{name: getattr(self, name) for name in PrepareOptions.model_fields})
