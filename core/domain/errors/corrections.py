"""Corrections of a dataset."""

from core.domain.errors.base import Conflict, NotFound, Unprocessable


class CorrectionInvalid(Unprocessable):
    slug = "correction-invalid"
    title = "A correction does not fit the dataset"


class CorrectionNotFound(NotFound):
    slug = "correction-not-found"
    title = "There is no such correction"


class NothingToApply(Conflict):
    slug = "nothing-to-apply"
    title = "No correction changes the dataset"
