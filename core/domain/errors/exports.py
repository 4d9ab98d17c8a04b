"""Exports of a version, their certificates, evaluations and bundles."""

from core.domain.errors.base import Conflict, NotFound


class ExportNotFound(NotFound):
    slug = "export-not-found"
    title = "The model version has no such export"


class EvaluationNotFound(NotFound):
    slug = "evaluation-not-found"
    title = "There is no evaluation with this id"


class ExportNotPassed(Conflict):
    slug = "export-not-passed"
    title = "The export did not pass its certificate"
