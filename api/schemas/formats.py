"""JSON of the dataset formats."""

from typing import Literal

from pydantic import BaseModel, Field

from pipeline.params.formats import CATALOGUE


class Format(BaseModel):
    """A dataset format with an example."""

    name: str = Field(examples=["voc"])
    title: str = Field(examples=["Pascal VOC"])
    kind: Literal["detection", "classification"]
    trainable: bool = Field(description="Whether a trainer exists for this kind of dataset.")
    description: str
    tree: str = Field(
        description="An example tree of files, one per line.", examples=["set/\n  images/1.jpg\n  xml/1.xml"]
    )


class Formats(BaseModel):
    """The formats in the order in which they are tried. Formats are recognised by content; names and nesting of folders
    are free."""

    items: list[Format]


def all_formats(trainable: frozenset[str]) -> Formats:
    """`trainable`: the kinds of dataset for which a trainer exists."""
    return Formats(
        items=[
            Format(
                name=name,
                title=page.title,
                kind=page.kind,
                trainable=page.kind in trainable,
                description=page.description,
                tree=page.tree,
            )
            for name, page in CATALOGUE.items()
        ]
    )
