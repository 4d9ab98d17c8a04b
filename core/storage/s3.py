"""The S3 store: AWS, SeaweedFS, Swift and other servers of the protocol. With s3_answers.py alone it imports boto3."""

import base64
import secrets
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from core.domain.errors import StoreRefused, Unavailable
from core.domain.keys import probe_key
from core.domain.limits import MIB
from core.settings import Settings
from core.storage import CHUNK_BYTES, ObjectCorrupt, ObjectMissing, StoredObject, checked_key, checked_prefix
from core.storage.attachment import attachment
from core.storage.locked_files import locked
from core.storage.s3_answers import EXISTS, MISSING, KeyContended, KeyTaken, answering, refusal
from core.storage.transfer import (
    chunks_of_parts,
    fetch_whole,
    naming_full_disk,
    probe_by_use,
    same_or_refused,
    sha256_of,
    write_durably,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SINGLE_PUT_BYTES = 64 * MIB  # above this size an object is sent in parts: a failed request costs too much to repeat
UPLOAD_PART_BYTES = 32 * MIB  # S3 allows 10,000 parts: up to 312 GiB
CONFLICT_ATTEMPTS = 4  # 409: another conditional put of the key is under way
LINK_MAX_SECONDS = 7 * 24 * 3600  # signature version 4 allows no more


def open_s3(settings: Settings, *, bucket: str, prefix: str) -> "S3Store":
    """The store in `bucket` below `prefix`. Connects to nothing yet."""
    if not bucket:
        raise ValueError("DARKROOM_STORE_URL names no bucket: s3://bucket/prefix")
    client = client_of(settings, settings.s3_endpoint)
    public = client_of(settings, settings.s3_public_endpoint) if settings.s3_public_endpoint else client
    return S3Store(client, public, bucket=bucket, prefix=prefix.strip("/"))


def client_of(settings: Settings, endpoint: str) -> "S3Client":
    config = Config(
        signature_version="s3v4",
        connect_timeout=2,
        read_timeout=60,  # a server may assemble parts for a while before it answers
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
        tcp_keepalive=True,
        # Self-hosted servers rarely have a wildcard DNS name for their buckets; AWS prefers it.
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key.get_secret_value() or None,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
        config=config,
    )


class S3Store:
    """Safe for threads: boto3 clients are."""

    def __init__(self, client: "S3Client", public: "S3Client", *, bucket: str, prefix: str) -> None:
        self._client = client
        self._public = public
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._transfer = TransferConfig(
            multipart_threshold=SINGLE_PUT_BYTES, multipart_chunksize=UPLOAD_PART_BYTES, max_concurrency=4
        )
        self._conditional: bool | None = None
        self._conditional_lock = threading.Lock()

    def put(
        self, key: str, path: Path, *, sha256: str | None = None, media_type: str = "application/octet-stream"
    ) -> StoredObject:
        digest = sha256 or sha256_of(path)
        if (known := self.head(key)) is not None:
            return same_or_refused(known, digest)
        size = path.stat().st_size
        if size > SINGLE_PUT_BYTES:
            self._put_parts(key, path, digest=digest, media_type=media_type)
        elif not self._put_single(key, path, digest=digest, media_type=media_type):
            return same_or_refused(self._require(key), digest)  # another put was faster
        return StoredObject(key, size, digest)

    def take(
        self, key: str, path: Path, *, sha256: str | None = None, media_type: str = "application/octet-stream"
    ) -> StoredObject:
        return self.put(key, path, sha256=sha256, media_type=media_type)

    def join(
        self, key: str, parts: Sequence[StoredObject], *, sha256: str | None, media_type: str, scratch: Path
    ) -> StoredObject:
        # Through a local file: the digest goes into the object's metadata, which S3 takes before the first byte, and
        # a server-side copy (UploadPartCopy) neither returns a digest nor takes parts below 5 MiB.
        whole = scratch / f"upload-{secrets.token_hex(16)}.part"
        try:
            with naming_full_disk(scratch):
                _, digest = write_durably(chunks_of_parts(self, parts), whole)
            if sha256 not in (None, digest):
                raise ObjectCorrupt(f"{key}: the parts have sha256 {digest}, expected {sha256}")
            with locked(whole):
                return self.put(key, whole, sha256=digest, media_type=media_type)
        finally:
            whole.unlink(missing_ok=True)

    def fetch(self, key: str, path: Path) -> StoredObject:
        known = self._require(key)
        sha256 = fetch_whole(self.open(key), path, key=key, size=known.bytes, sha256=known.sha256)
        return StoredObject(key, known.bytes, sha256)

    def lend(self, key: str, path: Path) -> StoredObject:
        return self.fetch(key, path)

    def head(self, key: str) -> StoredObject | None:
        try:
            with answering(key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ObjectMissing:
            return None
        # Header names ignore case, and servers differ: Swift answers `Sha256`.
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        return StoredObject(key, answer["ContentLength"], metadata.get("sha256", ""))

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        stream = self._stream(key, start, end)
        next(stream)  # up to its first, empty yield: errors of opening are raised by this call
        return stream

    def _stream(self, key: str, start: int, end: int | None) -> Iterator[bytes]:
        ranged: dict[str, Any] = {}
        if start or end is not None:
            ranged = {"Range": f"bytes={start}-{'' if end is None else end}"}
        with answering(key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **ranged)["Body"]
            try:
                yield b""
                yield from body.iter_chunks(CHUNK_BYTES)
            finally:
                body.close()

    def delete_prefix(self, prefix: str) -> int:
        checked_prefix(prefix)
        deleted = 0
        with answering(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                names = [entry["Key"] for entry in page.get("Contents", [])]
                deleted += self._delete(names) if names else 0
        return deleted

    def list_prefix(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        wanted = self._prefix + (checked_prefix(prefix) if prefix else "")
        with answering(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=wanted):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(self._prefix), entry["LastModified"].astimezone(UTC)

    def measure(self, prefix: str) -> tuple[int, int]:
        wanted = self._prefix + checked_prefix(prefix)
        with answering(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=wanted)
            sizes = [entry["Size"] for page in pages for entry in page.get("Contents", [])]
        return len(sizes), sum(sizes)

    def link(self, key: str, *, seconds: int, file_name: str) -> str | None:
        return self._public.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": self._name(key),
                "ResponseContentDisposition": attachment(file_name),
            },
            ExpiresIn=min(seconds, LINK_MAX_SECONDS),
        )

    def probe(self) -> None:
        probe_by_use(self)

    def make_ready(self) -> bool:
        with answering(self._bucket):
            try:
                self._client.head_bucket(Bucket=self._bucket)
                return False
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING | {"NoSuchBucket"}:
                    raise
            region: Any = self._client.meta.region_name
            elsewhere: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            # AWS rejects its first region as a constraint, and requires every other one.
            self._client.create_bucket(Bucket=self._bucket, **({} if region == "us-east-1" else elsewhere))
            return True

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _require(self, key: str) -> StoredObject:
        known = self.head(key)
        if known is None:
            self._require_bucket()  # a HEAD answers 404 for both, without a code
            raise ObjectMissing(key)
        return known

    def _require_bucket(self) -> None:
        with answering(self._bucket):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise StoreRefused(refusal("NoSuchBucket"), service="store", cause="NoSuchBucket") from error
                raise

    def _put_parts(self, key: str, path: Path, *, digest: str, media_type: str) -> None:
        """Parts appear as one object once the last is stored. boto3 allows no condition here (its issue 4366)."""
        with answering(key):
            self._client.upload_file(
                str(path),
                self._bucket,
                self._name(key),
                ExtraArgs={"Metadata": {"sha256": digest}, "ContentType": media_type},
                Config=self._transfer,
            )

    def _put_single(self, key: str, path: Path, *, digest: str, media_type: str) -> bool:
        """One request, checked by the server against the digest. False: the key was taken meanwhile."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self._honours_conditions() else {}
        for attempt in range(CONFLICT_ATTEMPTS):
            try:
                with path.open("rb") as file, answering(key):
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=self._name(key),
                        Body=file,
                        Metadata={"sha256": digest},
                        ContentType=media_type,
                        ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
                        **condition,
                    )
                return True
            except KeyTaken:
                return False
            except KeyContended:
                if attempt == CONFLICT_ATTEMPTS - 1:
                    raise Unavailable(f"Another writer of {key} does not finish.", service="store") from None
        raise AssertionError("the loop returns or raises")

    def _honours_conditions(self) -> bool:
        """Whether the server rejects a second `If-None-Match: *` put; many accept the header and ignore it."""
        with self._conditional_lock:
            if self._conditional is None:
                self._conditional = self._try_condition()
            return self._conditional

    def _try_condition(self) -> bool:
        name = self._name(probe_key(secrets.token_hex(8)))
        with answering(name):
            self._client.put_object(Bucket=self._bucket, Key=name, Body=b"1")
            try:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=b"2", IfNoneMatch="*")
            except ClientError as error:
                return error.response["Error"]["Code"] in EXISTS
            finally:
                self._client.delete_object(Bucket=self._bucket, Key=name)
        return False

    def _delete(self, names: list[str]) -> int:
        """Delete one page of names (1000 at most, S3's limit for both requests)."""
        answer = self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": name} for name in names], "Quiet": True}
        )
        if errors := answer.get("Errors", []):
            message = errors[0].get("Message", "")
            raise Unavailable(f"The object store did not delete {len(errors)} objects: {message}", service="store")
        return len(names)
