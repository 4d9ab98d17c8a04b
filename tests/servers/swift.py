"""OpenStack Swift with its S3 API as one process: `python -W ignore -m tests.servers.swift FOLDER PORT SECRET`.

One device, one replica, everything on loopback. The access key is `test:tester`. The file system must hold extended
attributes (ext4, tmpfs and APFS do). The process ends when its parent does.
"""

import eventlet

eventlet.monkey_patch()  # before anything imports socket or threading: Swift's servers are green threads

import array  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from eventlet import wsgi  # noqa: E402
from swift.account.server import AccountController  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingData  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402

CLUSTER = """
[swift-hash]
swift_hash_path_suffix = darkroom
[storage-policy:0]
name = single
default = yes
"""

PIPELINE = ("catch_errors", "gatekeeper", "listing_formats", "bulk", "s3api", "tempauth", "copy", "slo", "dlo")
FILTER_OPTIONS = {
    "s3api": "location = us-east-1\ndns_compliant_bucket_names = true\ncheck_bucket_owner = false",
    "tempauth": "user_test_tester = {secret} .admin",
}
PART_SHIFT = 30  # four partitions are plenty for one device


def main(folder: Path, port: int, secret: str) -> None:
    common = {"swift_dir": str(folder / "etc"), "devices": str(folder / "devices"), "mount_check": "false"}
    common |= {"disable_fallocate": "true", "log_level": "WARNING"}
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc" / "swift.conf").write_text(CLUSTER)
    utils.set_swift_dir(str(folder / "etc"))
    storage_policy.reload_storage_policies()

    backends = {"account": AccountController, "container": ContainerController, "object": ObjectController}
    listeners = {name: eventlet.listen(("127.0.0.1", 0)) for name in backends}
    for name, listener in listeners.items():
        _device_table(listener.getsockname()[1]).save(str(folder / "etc" / f"{name}.ring.gz"))
    for name, controller in backends.items():
        eventlet.spawn(_serve, listeners[name], controller(common))

    (folder / "etc" / "proxy.conf").write_text(_proxy(common, secret))
    eventlet.spawn(_end_with_parent, os.getppid())
    _serve(eventlet.listen(("127.0.0.1", port)), loadapp(str(folder / "etc" / "proxy.conf")))


def _device_table(port: int) -> Any:
    device = {"id": 0, "zone": 0, "region": 1, "device": "disk", "weight": 1.0, "meta": ""}
    address = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    return RingData([array.array("H", [0] * 2 ** (32 - PART_SHIFT))], [device | address], PART_SHIFT)


def _proxy(common: dict[str, str], secret: str) -> str:
    default = "\n".join(f"{name} = {value}" for name, value in common.items())
    parts = [f"[DEFAULT]\n{default}", f"[pipeline:main]\npipeline = {' '.join(PIPELINE)} proxy-server"]
    parts.append(
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true"
    )
    for name in PIPELINE:
        options = FILTER_OPTIONS.get(name, "").format(secret=secret)
        parts.append(f"[filter:{name}]\nuse = egg:swift#{name}\n{options}")
    return "\n".join(parts)


def _serve(listener: Any, app: Any) -> None:
    wsgi.server(listener, app, _Silence(), protocol=SwiftHttpProtocol, log_output=False)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        eventlet.sleep(1)
    os._exit(0)


class _Silence:
    def write(self, _text: str) -> None: ...

    def flush(self) -> None: ...


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
