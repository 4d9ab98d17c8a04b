"""Predictions: the model, the image, the queue."""

from core.domain.errors.base import Conflict, DarkroomError, NotFound, Unprocessable
from core.domain.errors.service import Unavailable


class ModelNotServable(Conflict):
    slug = "model-not-servable"
    title = "The model version has no export that may answer"


class ModelLoading(Unavailable):
    slug = "model-loading"
    title = "The model is being loaded"


class PredictionTimedOut(Unavailable):
    slug = "prediction-timed-out"
    title = "The prediction took too long"


class ServingUnavailable(Unavailable):
    slug = "serving-unavailable"
    title = "Predictions are not running"


class QueueFull(DarkroomError):
    slug = "queue-full"
    title = "Too many images are waiting"


class ImageInvalid(Unprocessable):
    slug = "image-invalid"
    title = "The image cannot be predicted"


class ImageUrlRefused(Unprocessable):
    slug = "image-url-refused"
    title = "The image is not fetched from this URL"


class NothingToPredict(Unprocessable):
    slug = "nothing-to-predict"
    title = "There are no images to predict"


class BatchNotFound(NotFound):
    slug = "batch-not-found"
    title = "There is no batch of predictions with this id"


class BatchNotReady(Conflict):
    slug = "batch-not-ready"
    title = "The batch has no results yet"
