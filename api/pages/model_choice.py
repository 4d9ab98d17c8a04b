"""Models that a page offers: projects, their aliases and versions, and which of them answer predictions."""

from dataclasses import dataclass

from core.db import Database
from core.db.tables import VersionRow
from core.domain.model_names import PRODUCTION, alias_name, parse_model_name, version_name
from core.services.context import Platform
from core.services.models.names import model_in
from core.services.models.served import served_or_why
from core.services.models.versions import aliases_of, list_versions
from core.services.projects import commands as projects
from core.services.projects.overviews import project_overviews

_PROJECTS = 100  # that are offered; another one is there when it is named
_VERSIONS = 40


@dataclass(frozen=True, slots=True)
class ModelOption:
    """`value`: a name of the model; `version`: what it means now. `reason`: why that does not answer; else empty."""

    value: str
    label: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """`row`: the version that is chosen. `value`: by the name that was asked for."""

    project: str
    kind: str
    value: str
    row: VersionRow
    options: list[ModelOption]

    @property
    def option(self) -> ModelOption:
        return next(each for each in self.options if each.value == self.value)


def offered_projects(db: Database) -> list[str]:
    """Names of those with a version, newest first."""
    rows = projects.list_projects(db, cursor=None, limit=_PROJECTS).items
    return [each.project.slug for each in project_overviews(db, rows) if each.versions]


def model_choice(platform: Platform, name: str) -> ModelChoice:
    """`name` of a model. Raises VersionNotFound, AliasNotFound, AliasElsewhere, ProjectNotFound, JobNotFound, Gone."""
    db, precision = platform.db, platform.settings.serving_precision
    with db.reading() as session:
        row = model_in(session, name)
    project = projects.get_project(db, row.project_id)
    aliases = {each.alias: each.number for each in aliases_of(db, project.id)}
    rows = list_versions(db, cursor=None, limit=_VERSIONS, ref=project.id, whole=False).items
    by_number = {each.number: each for each in [*rows, row]}
    for number in sorted(set(aliases.values()) - by_number.keys()):
        with db.reading() as session:
            by_number[number] = model_in(session, version_name(project.slug, number))
    reasons = served_or_why(db, list(by_number.values()), precision=precision)

    def option(value: str, label: str, number: int) -> ModelOption:
        reason = reasons[by_number[number].id] or ""
        return ModelOption(value, label, version_name(project.slug, number), reason)

    bare = aliases.get(PRODUCTION, max(by_number))
    options = [
        option(project.slug, f"{PRODUCTION if PRODUCTION in aliases else 'the latest'}, now v{bare}", bare),
        *(
            option(alias_name(project.slug, each), f"@{each}, now v{number}", number)
            for each, number in aliases.items()
            if each != PRODUCTION or name.endswith(f"@{PRODUCTION}")
        ),
    ]
    for number in sorted(by_number, reverse=True):
        names = ", ".join(each for each, target in aliases.items() if target == number)
        label = f"v{number} · {by_number[number].trainer}" + (f" · {names}" if names else "")
        options.append(option(version_name(project.slug, number), label, number))
    parsed = parse_model_name(name)
    value = version_name(project.slug, row.number)
    if parsed is not None and parsed.alias in aliases:
        value = alias_name(project.slug, parsed.alias or "")
    elif parsed is not None and parsed.is_bare:
        value = project.slug
    return ModelChoice(project.slug, project.kind or "", value, row, options)
