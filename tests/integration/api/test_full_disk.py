"""A disk that is full to its last byte is emptied through the API."""

from pathlib import Path

from tests.servers.small_disk import run_on_small_disk

EMPTY_A_FULL_DISK = """
import shutil, sys
from pathlib import Path
from starlette.testclient import TestClient
from api.app import create_app
from core.db.migrate import upgrade
from core.domain.limits import MIB
from core.services.context import open_platform
from core.settings import Settings
from tests.waiting import wait_until
from worker.context import Worker
from worker.tasks.retention import clean

disk = Path(sys.argv[1]) / "disk"
settings = Settings(home=disk / "home", disk_reserve_bytes=8 * MIB)
platform = open_platform(settings)
upgrade(settings.database)
reserve = disk / "home" / "darkroom.db.reserve"
with TestClient(create_app(platform), base_url="http://localhost") as client:
    wait_until(reserve.exists, seconds=10, what="the reserve file")
    headers = {"content-type": "application/zip"}
    jobs = [client.post("/upload-dataset", content=bytes(2 * MIB), headers=headers).json() for _ in range(3)]
    refused = client.post("/upload-dataset", content=bytes(16 * MIB), headers=headers)
    assert refused.status_code == 507, refused.text
    with (disk / "other").open("wb", buffering=0) as other:  # another program
        try:
            while True:
                other.write(bytes(4096))
        except OSError:
            pass
    assert shutil.disk_usage(disk).free == 0
    for job in jobs:
        deleted = client.delete(job["links"]["self"])
        assert deleted.status_code == 200, deleted.text
    assert not reserve.exists()
    clean(Worker(platform, "housekeeping", "test"))
    assert not list(platform.store.list_prefix("uploads/")) and shutil.disk_usage(disk).free > 4 * MIB
    (disk / "other").unlink()
    clean(Worker(platform, "housekeeping", "test"))
    assert reserve.stat().st_size == 2 * MIB
print("emptied")
"""


def test_a_full_disk_is_emptied_by_deleting_jobs(tmp_path: Path) -> None:
    assert run_on_small_disk(tmp_path, EMPTY_A_FULL_DISK, megabytes=24).endswith("emptied\n")
