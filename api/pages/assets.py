"""Scripts, styles and icons: addressed by the hash of all of them, kept by browsers for a year, compressed once."""

import gzip
import hashlib
import mimetypes
from functools import cached_property, lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.domain.errors import RouteNotFound

router = APIRouter(prefix="/ui/assets", include_in_schema=False)

STATIC = Path(__file__).resolve().parent / "static"
VENDORED = ("htmx.js", "uplot.js", "uplot.css")
# Each page needs these styles before it is painted: one request brings all of them, in this order.
SITE, SITE_PARTS = "css/site.css", ("css/tokens.css", "css/base.css", "css/components.css")
_HASH_DIGITS = 16
_YEAR = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_SMALL = 256  # bytes that compression does not make fewer


class Assets:
    """The files below `folder`, read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compressed: dict[str, bytes] = {}

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Contents by name, such as `js/lib/api.js`, and SITE. Hidden files are none."""
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        found = {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in paths}
        return found | {SITE: b"".join(found[part] for part in SITE_PARTS if part in found)}

    @cached_property
    def digest(self) -> str:
        """Of names and contents: modules import each other by relative address, so all of them change together."""
        total = hashlib.sha256()
        for name, content in self.files.items():
            total.update(f"{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()[:_HASH_DIGITS]

    def compressed(self, name: str) -> bytes:
        """By gzip; the same bytes each time. Raises KeyError."""
        if name not in self._compressed:
            self._compressed[name] = gzip.compress(self.files[name], mtime=0)
        return self._compressed[name]


@lru_cache(maxsize=1)
def assets() -> Assets:
    return Assets(STATIC)


def address_of(name: str) -> str:
    """`/ui/assets/<hash>/<name>`."""
    return f"/ui/assets/{assets().digest}/{name}"


def are_built() -> bool:
    """Whether the files of third parties are there: `python -m api.pages.vendor` fetches them."""
    return all(f"vendor/{name}" in assets().files for name in VENDORED)


@router.get("/{digest}/{name:path}")
async def send_asset(request: Request, digest: str, name: str) -> Response:
    """A page of another release gets the file of this one, which it may not keep."""
    content = assets().files.get(name)
    if content is None:
        raise RouteNotFound(f"There is no file {name[:200]} here.")
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"cache-control": _YEAR if digest == assets().digest else "no-store", "vary": "accept-encoding"}
    if len(content) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        content = assets().compressed(name)
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=kind, headers=headers)
