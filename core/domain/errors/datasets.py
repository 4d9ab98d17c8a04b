"""The user's data, its images, and sets of a hub."""

from core.domain.errors.base import Conflict, NotFound, Unprocessable


class ImageNotFound(NotFound):
    slug = "image-not-found"
    title = "The dataset has no such image"


class ImageIndexMissing(Conflict):
    slug = "image-index-missing"
    title = "The images of the dataset are not indexed yet"


class DatasetKindMismatch(Conflict):
    slug = "dataset-kind-mismatch"
    title = "The datasets are of different kinds"


class DatasetExportNotFound(NotFound):
    slug = "dataset-export-not-found"
    title = "The dataset has no such export"


class DatasetExportFailed(Conflict):
    slug = "dataset-export-failed"
    title = "The export of the dataset could not be written"


class HubOff(Conflict):
    slug = "hub-off"
    title = "Downloads from a hub are switched off"


class DatasetRejected(Unprocessable):
    slug = "dataset-rejected"
    title = "The dataset has errors"


class ArchiveRefused(DatasetRejected):
    slug = "archive-refused"
    title = "The archive is broken or unsafe"


class FormatUnknown(DatasetRejected):
    slug = "format-unknown"
    title = "The archive contains no supported dataset format"


class HubSetNotFound(DatasetRejected):
    slug = "hub-set-not-found"
    title = "The hub has no such dataset, or denies access to it"


class HubSetUnusable(DatasetRejected):
    slug = "hub-set-unusable"
    title = "The hub's dataset cannot be imported"


class SourceNotReusable(Conflict):
    slug = "source-not-reusable"
    title = "The ZIP of this dataset cannot be prepared again"


class ImportNotAllowed(Conflict):
    slug = "import-not-allowed"
    title = "The service does not import from there"


class ImportUnusable(DatasetRejected):
    slug = "import-unusable"
    title = "What was to be imported cannot be used"


class ImageNotRendered(Unprocessable):
    slug = "image-not-rendered"
    title = "The image cannot be rendered"


class DatasetFormatUnsupported(Unprocessable):
    slug = "dataset-format-unsupported"
    title = "The format cannot hold this kind of dataset"


class TestSetNotFound(NotFound):
    __test__ = False  # pytest takes classes of this name for tests
    slug = "test-set-not-found"
    title = "The project has no frozen test set"


class NoTestSplit(Conflict):
    slug = "no-test-split"
    title = "The dataset has no test images"


class DatasetElsewhere(Conflict):
    slug = "dataset-elsewhere"
    title = "The dataset belongs to another project"


class DatasetFrozen(Conflict):
    slug = "dataset-frozen"
    title = "The dataset is the frozen test set of its project"


class TrainsOnTestSet(Conflict):
    slug = "trains-on-test-set"
    title = "The dataset has images of the frozen test set in train or val"


class NoTestSet(Conflict):
    slug = "no-test-set"
    title = "There is no frozen test set to compare on"
