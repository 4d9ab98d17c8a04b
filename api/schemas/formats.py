"""The dataset formats as their users see them."""

from typing import Literal

from pydantic import BaseModel, Field

from pipeline.params.formats import CATALOGUE


class Format(BaseModel):
    name: str = Field(examples=["voc"])
    title: str = Field(examples=["Pascal VOC"])
    kind: Literal["detection", "classification"]
    trained: bool = Field(description="Whether a dataset of this kind can be trained on.")
    description: str
    tree: str = Field(description="An example, one entry a line.", examples=["set/\n  images/1.jpg\n  xml/1.xml"])


class Formats(BaseModel):
    """Asked in this order. Formats are recognised by content; folders may be called and nested as you like."""

    items: list[Format]


def all_formats(trained: frozenset[str]) -> Formats:
    """`trained`: the kinds of dataset that some trainer takes."""
    return Formats(
        items=[
            Format(
                name=name,
                title=page.title,
                kind=page.kind,
                trained=page.kind in trained,
                description=page.description,
                tree=page.tree,
            )
            for name, page in CATALOGUE.items()
        ]
    )
