"""What the service itself lacks."""

from core.domain.errors.base import DarkroomError


class Unavailable(DarkroomError):
    slug = "unavailable"
    title = "A required service does not answer"


class StoreRefused(Unavailable):
    slug = "store-refused"
    title = "The object store refuses this service"


class OutOfSpace(DarkroomError):
    slug = "out-of-space"
    title = "There is not enough free space"
