"""Exports of a version, their certificates, evaluations and bundles."""

from core.domain.errors.base import Conflict, NotFound, Unprocessable


class ExportNotFound(NotFound):
    slug = "export-not-found"
    title = "The model version has no such export"


class EvaluationNotFound(NotFound):
    slug = "evaluation-not-found"
    title = "There is no evaluation with this id"


class ExportNotPassed(Conflict):
    slug = "export-not-passed"
    title = "The export did not pass its certificate"


class ExportUnsupported(Unprocessable):
    slug = "export-unsupported"
    title = "The model cannot be exported in this way"


class ExportAccuracy(Unprocessable):
    slug = "export-accuracy"
    title = "The export is less accurate than was asked for"


class FormatUnavailable(Unprocessable):
    slug = "format-unavailable"
    title = "The worker lacks what writes this format"


class BundleWithoutOnnx(Conflict):
    slug = "bundle-without-onnx"
    title = "The version has no ONNX that can be bundled"


class BundleFailed(Conflict):
    slug = "bundle-failed"
    title = "The bundle of the version could not be written"


class NoSharedClass(Unprocessable):
    slug = "no-shared-class"
    title = "The model and the dataset have no class in common"


class EvaluationKindMismatch(Conflict):
    slug = "evaluation-kind-mismatch"
    title = "The model is for another kind of dataset"
