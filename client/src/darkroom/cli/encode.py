"""Answers of the client as the JSON that the service sent: the inverse of `darkroom.schemas.decode`."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from darkroom.errors import Problem
from darkroom.schemas.decode import json_name


def encode(value: Any) -> Any:
    """Without the fields that the client adds."""
    if isinstance(value, Problem):
        return {"slug": value.slug, "title": value.title, "detail": value.detail, **encode(value.facts)}
    if is_dataclass(value) and not isinstance(value, type):
        own = [each for each in fields(value) if not each.metadata.get("local")]
        return {json_name(each): encode(getattr(value, each.name)) for each in own}
    if isinstance(value, Mapping):
        return {name: encode(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [encode(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
