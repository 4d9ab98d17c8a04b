"""The one grammar for a model: `raccoons`, `raccoons/v3`, `raccoons@production`; within a project `v3`, `@production`.

A bare project means its `production`, else its latest version.
"""

import re
from dataclasses import dataclass

from core.domain.slugs import PATTERN, is_slug

PRODUCTION = "production"
_NUMBER, _NAME = r"v[1-9]\d{0,8}|latest", r"[a-z][a-z0-9_-]{0,63}"
_VERSION, _ALIAS = re.compile(_NUMBER), re.compile(_NAME)
OWN_VERSION = rf"(?:{PATTERN}/)?(?:{_NUMBER})|(?:{PATTERN})?@{_NAME}"  # what `parse_version_name` accepts, for schemas


@dataclass(frozen=True, slots=True)
class ModelName:
    """What a person wrote: at most one of `version` and `alias`; without a project, of the one at hand."""

    project: str | None
    version: str | None = None
    alias: str | None = None

    @property
    def is_bare(self) -> bool:
        """A project and nothing else: `raccoons`."""
        return self.version is None and self.alias is None


def parse_model_name(text: str) -> ModelName | None:
    """None when it is no name of a model of ours, such as `yolov8n.pt` or `google/vit-base-patch16-224`."""
    project, at, alias = text.partition("@")
    if at:
        is_alias = _ALIAS.fullmatch(alias) is not None and (project == "" or is_slug(project))
        return ModelName(project or None, alias=alias) if is_alias else None
    if _VERSION.fullmatch(text):
        return ModelName(None, version=text)
    project, slash, version = text.partition("/")
    if not is_slug(project) or (slash and not _VERSION.fullmatch(version)):
        return None
    return ModelName(project, version=version or None)


def parse_version_name(text: str) -> ModelName | None:
    """As `parse_model_name` where a name may also be that of weights or of an architecture: None for a bare project."""
    name = parse_model_name(text)
    return None if name is None or name.is_bare else name


def version_name(slug: str, number: int) -> str:
    """`raccoons/v7`"""
    return f"{slug}/v{number}"


def alias_name(slug: str, alias: str) -> str:
    """`raccoons@production`"""
    return f"{slug}@{alias}"


def dataset_name(slug: str, revision: int) -> str:
    """`raccoons/d2`"""
    return f"{slug}/d{revision}"
