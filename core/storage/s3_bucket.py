"""Reading a bucket that other programs write, with the credentials of the service: lists and opens, changes nothing."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.domain.errors import RangeInvalid, Unavailable
from core.settings import Settings
from core.storage import CHUNK_BYTES, ObjectMissing
from core.storage.s3 import client_of
from core.storage.s3_answers import answering

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ObjectChanged(Exception):
    """The object is no longer the one that was listed, or is gone."""


@dataclass(frozen=True, slots=True)
class BucketObject:
    key: str
    bytes: int
    etag: str


class Bucket:
    """All methods raise `Unavailable`, and its subclass `StoreRefused` where access is denied or there is no bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def list(self, prefix: str) -> Iterator[BucketObject]:
        """Every object whose key starts with `prefix`, sorted by key."""
        with answering(self._bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", []):
                    yield BucketObject(entry["Key"], entry["Size"], entry["ETag"])

    def open(self, listed: BucketObject, *, start: int = 0) -> Generator[bytes, None, None]:
        """Its bytes from `start` on, in chunks. Raises ObjectChanged."""
        ranged: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        try:
            with answering(listed.key):
                answer = self._client.get_object(Bucket=self._bucket, Key=listed.key, **ranged)
                if answer["ETag"] != listed.etag:
                    raise ObjectChanged(listed.key)
                with closing(answer["Body"]) as body:
                    yield from body.iter_chunks(CHUNK_BYTES)
        except (ObjectMissing, RangeInvalid) as error:
            raise ObjectChanged(listed.key) from error
        except (ConnectionError, TimeoutError) as error:
            raise Unavailable("The object store broke off.", service="store", cause=type(error).__name__) from error


def open_bucket(settings: Settings, bucket: str) -> Bucket:
    """Connects to nothing yet."""
    return Bucket(client_of(settings, settings.s3_endpoint), bucket)
