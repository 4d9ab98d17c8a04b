"""Model versions, their artifacts and aliases, and models that are uploaded."""

from core.domain.errors.base import Conflict, NotFound, Unprocessable


class VersionNotFound(NotFound):
    slug = "version-not-found"
    title = "There is no such model version"


class ArtifactNotFound(NotFound):
    slug = "artifact-not-found"
    title = "The model version has no such artifact"


class AliasNotFound(NotFound):
    slug = "alias-not-found"
    title = "There is no such alias"


class AliasElsewhere(Conflict):
    slug = "alias-elsewhere"
    title = "The alias points at a version of another job"


class NoEarlierVersion(Conflict):
    slug = "no-earlier-version"
    title = "The alias has no earlier version to return to"


class ModelRefused(Unprocessable):
    slug = "model-refused"
    title = "The model cannot be imported"


class AliasReserved(Unprocessable):
    slug = "alias-reserved"
    title = "This alias name is reserved or malformed"
