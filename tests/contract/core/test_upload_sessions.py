"""The rows of a resumable upload on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.tables import UploadPartRow
from core.domain.errors import UploadLocked, UploadNotFound, UploadOffsetDiffers
from core.services.context import Platform, open_platform
from core.services.maintenance.retention import named_keys
from core.services.uploads.sessions import (
    NewUpload,
    UploadLease,
    add_part,
    complete_uploads,
    create_upload,
    delete_upload_rows,
    expired_uploads,
    get_upload,
    lease_upload,
    mark_done,
    parts_of,
    release_upload,
)
from core.settings import Settings


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=database_url, keep_upload_hours=1e-9))
    yield opened
    opened.db.close()


def part(lease: UploadLease, start: int, size: int) -> UploadPartRow:
    key = f"uploads/{lease.upload_id}/parts/{start}"
    return UploadPartRow(upload_id=lease.upload_id, start=start, bytes=size, sha256="0" * 64, key=key)


def test_only_the_lease_moves_the_offset_and_only_from_its_current_value(platform: Platform) -> None:
    db, settings = platform.db, platform.settings
    new = NewUpload(3 * 1024**4, "data.zip", "data", {"seed": 0}, None)
    upload_id = create_upload(db, settings, new).id
    lease, row = lease_upload(db, upload_id, offset=0)
    assert (row.length_bytes, row.received_bytes) == (3 * 1024**4, 0)

    with pytest.raises(UploadLocked):
        lease_upload(db, upload_id, offset=0)
    with pytest.raises(UploadOffsetDiffers):
        lease_upload(db, upload_id, offset=7)
    with pytest.raises(UploadLocked):
        add_part(db, settings, UploadLease(upload_id, "another"), part(lease, 0, 10))
    assert add_part(db, settings, lease, part(lease, 0, 2**40)).received_bytes == 2**40
    with pytest.raises(UploadLocked):
        add_part(db, settings, lease, part(lease, 0, 10))
    assert add_part(db, settings, lease, part(lease, 2**40, 2**41)).received_bytes == 3 * 2**40

    assert [stored.start for stored in parts_of(db, upload_id)] == [0, 2**40]
    assert named_keys(db, [f"uploads/{upload_id}/parts/0", "other"]) == {f"uploads/{upload_id}/parts/0"}
    assert complete_uploads(db) == [upload_id]
    assert expired_uploads(db) == [], "it is leased"
    release_upload(db, lease)
    assert expired_uploads(db) == [upload_id]

    with pytest.raises(UploadLocked), db.transaction() as session:
        mark_done(session, lease)
    again, _ = lease_upload(db, upload_id, offset=3 * 2**40)
    with db.transaction() as session:
        mark_done(session, again)
    assert get_upload(db, upload_id).state == "done" and not parts_of(db, upload_id)
    delete_upload_rows(db, upload_id)
    with pytest.raises(UploadNotFound):
        get_upload(db, upload_id)
