# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""Projects and the aliases of their versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from darkroom._sync.downloads import download
from darkroom._sync.transport import Transport
from darkroom._sync.work import without_none
from darkroom.files import PathLike
from darkroom.names import path_of, project_name_of
from darkroom.schemas import (
    Alias,
    DeletedProject,
    Lineage,
    Project,
    ProjectStorage,
    Purge,
    RetentionSettings,
)


class Projects:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, implicit: bool = False) -> Iterator[Project]:
        """Newest activity first. `implicit`: also those that uploads without a project opened."""
        return self._transport.pages(Project, "/projects", {"implicit": implicit})

    def get(self, project: Project | str) -> Project:
        return self._transport.read(Project, path_of("/projects/{}", project_name_of(project)))

    def create(self, project: str, *, title: str = "", description: str = "", kind: str | None = None) -> Project:
        """`kind` is `detection` or `classification`; by default that of the first dataset."""
        body = without_none(project=project, title=title, description=description, kind=kind)
        return self._transport.write(Project, "POST", "/projects", body)

    def rename(self, project: Project | str, name: str) -> Project:
        """Its old name redirects from now on, and is never given again."""
        return self.update(project, name=name)

    def update(
        self,
        project: Project | str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        retention: RetentionSettings | None = None,
    ) -> Project:
        """`retention` takes the place of the one before; its days that are None are those of the service."""
        settings = None if retention is None else {"retention": asdict(retention)}
        body = without_none(project=name, title=title, description=description, settings=settings)
        return self._transport.write(Project, "PATCH", path_of("/projects/{}", project_name_of(project)), body)

    def delete(self, project: Project | str, *, cancel: bool = False) -> DeletedProject:
        """`cancel` ends its active work first. Raises Conflict where it has aliases, or work without `cancel`."""
        path = path_of("/projects/{}", project_name_of(project))
        return self._transport.write(DeletedProject, "DELETE", path, query={"cancel": cancel})

    def storage(self, project: Project | str, *, measure: bool = False) -> ProjectStorage:
        """What it stores by kind, and what could be deleted. `measure`: also lists the store, for what has no row."""
        path = path_of("/projects/{}/storage", project_name_of(project))
        return self._transport.read(ProjectStorage, path, {"measure": measure or None})

    def purge(
        self,
        project: Project | str,
        kinds: Sequence[str] = (),
        *,
        dry_run: bool = True,
        older_than_days: float = 0,
        keep_versions: int | None = None,
        cursor: str | None = None,
    ) -> Purge:
        """What would be deleted, by default of all kinds, one page from `cursor` on; nothing is changed.

        `dry_run=False` deletes it for ever, by an operation, and then `kinds` are needed.
        """
        choice = without_none(keep_versions=keep_versions, kinds=list(kinds) or None)
        body = {"dry_run": dry_run, "older_than_days": older_than_days, **choice}
        path, query = path_of("/projects/{}/purge", project_name_of(project)), without_none(cursor=cursor)
        return self._transport.write(Purge, "POST", path, body, query=query)

    def lineage(self, project: Project | str, *, all_runs: bool = False) -> Lineage:
        """What each version was made from. `all_runs`: also the failed and the cancelled ones."""
        path = path_of("/projects/{}/lineage", project_name_of(project))
        return self._transport.read(Lineage, path, {"runs": "all" if all_runs else "folded"})

    def draw_lineage(self, project: Project | str, to: PathLike, *, all_runs: bool = False) -> Path:
        """The same as an SVG file, light or dark as the browser is."""
        path = path_of("/projects/{}/lineage", project_name_of(project))
        query = {"runs": "all" if all_runs else "folded", "format": "svg"}
        return download(self._transport, path, to, query=query)


class Aliases:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, project: Project | str) -> Iterator[Alias]:
        """By name, without their histories."""
        return self._transport.items(Alias, path_of("/projects/{}/aliases", project_name_of(project)))

    def get(self, project: Project | str, alias: str) -> Alias:
        """With its history, oldest first."""
        return self._transport.read(Alias, _path(project, alias))

    def set(self, project: Project | str, alias: str, version: str) -> Alias:
        """Points it at a version, such as `v3`: predictions by this alias follow within a second."""
        return self._transport.write(Alias, "PUT", _path(project, alias), {"version": version})

    def rollback(self, project: Project | str, alias: str) -> Alias:
        """One step back in the history, which keeps the rollback too."""
        return self._transport.write(Alias, "POST", f"{_path(project, alias)}/rollback")

    def remove(self, project: Project | str, alias: str) -> None:
        self._transport.send("DELETE", _path(project, alias))


def _path(project: Project | str, alias: str) -> str:
    return path_of("/projects/{}/aliases/{}", project_name_of(project), alias)
