"""The lock of the pages' third parties, and what is taken from their packages."""

import copy
import json
import os
import re
from pathlib import Path

import pytest

from api.pages.assets import VENDORED
from api.pages.vendor.__main__ import FILES, HERE, LOCK, MODULES, VENDOR, copy_files, lock_faults

LOCKED = json.loads(LOCK.read_text(encoding="utf-8"))


def test_the_lock_has_a_sum_for_every_package_and_no_address() -> None:
    assert lock_faults(LOCKED) == []
    assert "://" not in LOCK.read_text(encoding="utf-8")
    assert all(entry["integrity"].startswith("sha512-") for name, entry in LOCKED["packages"].items() if name)
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    assert set(wanted["dependencies"]) == {"htmx.org", "uplot"}, "another one needs a reason: docs/decisions/0060"
    versions = wanted["dependencies"] | wanted["devDependencies"]
    assert {name: LOCKED["packages"][f"node_modules/{name}"]["version"] for name in versions} == versions


def test_a_lock_that_npm_would_trust_is_refused() -> None:
    bad = copy.deepcopy(LOCKED)
    del bad["packages"]["node_modules/uplot"]["integrity"]
    bad["packages"]["node_modules/htmx.org"]["resolved"] = "https://elsewhere.example/htmx.tgz"
    assert lock_faults(bad) == ["node_modules/uplot has no integrity sum", "node_modules/htmx.org has an address"]


def test_packages_run_no_scripts_when_they_are_installed() -> None:
    assert {"ignore-scripts=true", "omit-lockfile-registry-resolved=true"} <= set(
        (HERE / ".npmrc").read_text(encoding="utf-8").splitlines()
    )


def test_the_files_are_copied_and_older_ones_leave(tmp_path: Path) -> None:
    for source in FILES.values():
        file = tmp_path / "modules" / source
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"/* {source} */", encoding="utf-8")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "old.js").touch()
    copy_files(tmp_path / "modules", tmp_path / "vendor")
    assert {path.name for path in (tmp_path / "vendor").iterdir()} == set(FILES) >= set(VENDORED)
    assert (tmp_path / "vendor/uplot.js").read_text().endswith("export default uPlot;\n")


def test_what_is_installed_is_what_is_locked() -> None:
    if not VENDOR.exists():
        assert not os.environ.get("CI"), "python -m api.pages.vendor has not run"
        pytest.skip("python -m api.pages.vendor has not run")
    text = (VENDOR / "htmx.js").read_text(encoding="utf-8")
    assert LOCKED["packages"]["node_modules/htmx.org"]["version"] in text
    assert re.search(r"var uPlot=", (VENDOR / "uplot.js").read_text(encoding="utf-8"))
    assert (MODULES / "htmx.org/dist/htmx.min.js").read_text(encoding="utf-8") == text
