"""What may be imported: only from hosts, prefixes of buckets and folders that the operator allows by settings.

The API asks before it accepts a request; the worker asks again before it reads, and for each redirect and link.
"""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.domain.errors import ImportNotAllowed
from core.domain.import_places import BucketPrefix, absolute_folder, bucket_prefix, overlap
from core.settings import Settings
from http_common.remote_address import Network, RemoteName, remote_name
from pipeline.params.import_origin import ImportOrigin

HOSTS, BUCKETS, FOLDERS = "DARKROOM_IMPORT_HOSTS", "DARKROOM_IMPORT_BUCKETS", "DARKROOM_IMPORT_FOLDERS"


def require_allowed(settings: Settings, origin: ImportOrigin) -> None:
    """Of what lies outside. Raises ImportNotAllowed, which names the setting; UrlRefused and ValueError for a malformed
    location."""
    if origin.kind == "url":
        require_host(settings, remote_name(origin.location))
    elif origin.kind == "s3":
        _require_bucket(settings, bucket_prefix(origin.location))
    elif origin.kind == "folder":
        allowed_folder(settings, absolute_folder(origin.location))


def require_host(settings: Settings, remote: RemoteName) -> None:
    """Raises ImportNotAllowed."""
    if not remote.is_allowed(settings.allowed_import_hosts):
        raise _refused(f"Nothing is imported from {remote.for_operator}", f"add it to {HOSTS}", HOSTS)


def networks_for(settings: Settings, remote: RemoteName) -> Sequence[Network]:
    """The private ones in which this host may be: none where `*` alone allows it."""
    return settings.named_networks if remote.is_named(settings.allowed_import_hosts) else ()


def allowed_folder(settings: Settings, folder: Path) -> Path:
    """The folder of the settings that holds this one, by their names alone: links are not followed here.

    Raises ImportNotAllowed.
    """
    for allowed in settings.allowed_import_folders:
        if folder.is_relative_to(allowed):
            refuse_own(settings, folder)
            return allowed
    raise _refused("The folder is in none from which datasets are imported", f"add one to {FOLDERS}", FOLDERS)


def refuse_own(settings: Settings, folder: Path) -> None:
    """Raises ImportNotAllowed for a path in a folder of the service, or around one."""
    if any(overlap(folder, own) for own in settings.own_folders):
        raise ImportNotAllowed("The service's own files are there, which are never imported.", setting=FOLDERS)


def _require_bucket(settings: Settings, wanted: BucketPrefix) -> None:
    if not any(allowed.holds(wanted) for allowed in settings.allowed_import_buckets):
        raise _refused(f"Nothing is imported from {wanted}", f"add it to {BUCKETS}", BUCKETS)
    store = urlsplit(settings.store)
    own = BucketPrefix(store.netloc, unquote(store.path).strip("/"))
    if store.scheme == "s3" and (own.holds(wanted) or wanted.holds(own)):
        raise ImportNotAllowed("The service's own objects are there, which are never imported.", setting=BUCKETS)


def _refused(what: str, remedy: str, setting: str) -> ImportNotAllowed:
    return ImportNotAllowed(f"{what}: its operator can {remedy}.", setting=setting)
