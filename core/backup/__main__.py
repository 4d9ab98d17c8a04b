"""`python -m core.backup save STORE | restore STORE | verify [--quick] | refill-mlflow`.

`save` copies the objects of this installation to STORE, `file:///folder` or `s3://bucket/prefix` (at the endpoint and
with the keys of the settings); `restore` copies them back. `verify` compares every object that a row names with that
row, and lists what is missing or differs; `--quick` trusts the digests that the store keeps. `refill-mlflow` lets the
sync send everything to MLflow again, for one that is empty.
"""

import sys
from collections.abc import Sequence

from core.backup.objects import copy_objects
from core.domain.errors import DarkroomError
from core.services.context import Platform, open_platform
from core.services.maintenance.verification import fault_of, named_objects
from core.services.models.mlflow_notes import forget_copies
from core.settings import Settings, load_settings
from core.storage import ObjectCorrupt, ObjectExists, ObjectStore, open_store

OK, FAULTY, USAGE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 1 with faults or a failure, 2 for a wrong use."""
    if list(arguments) in (["--help"], ["-h"]):
        sys.stdout.write(__doc__ or "")
        return OK
    platform = open_platform(load_settings())
    try:
        match list(arguments):
            case ["save" | "restore" as way, url]:
                return _copy(platform, _other(platform, url), to_other=way == "save")
            case ["verify"] | ["verify", "--quick"]:
                return _verify(platform, quick=len(arguments) > 1)
            case ["refill-mlflow"]:
                forget_copies(platform.db)
                sys.stdout.write("The MLflow sync of housekeeping sends every project, run and version again.\n")
                return OK
        sys.stderr.write(f"usage: {(__doc__ or '').partition('`.')[0].strip('`')}\n")
        return USAGE
    except (DarkroomError, ObjectCorrupt, ObjectExists) as error:
        sys.stderr.write(f"{error.detail if isinstance(error, DarkroomError) else error}\n")
        return FAULTY
    except ValueError as error:  # of the address of the store
        sys.stderr.write(f"{error}\n")
        return USAGE
    finally:
        platform.db.close()


def _other(platform: Platform, url: str) -> ObjectStore:
    if url == platform.settings.store:
        raise ValueError(f"{url} is the store of this installation: name another one.")
    # Made anew: a copy would keep the address that the settings have worked out.
    return open_store(Settings(**{**platform.settings.model_dump(exclude_unset=True), "store_url": url}))


def _copy(platform: Platform, other: ObjectStore, *, to_other: bool) -> int:
    source, target = (platform.store, other) if to_other else (other, platform.store)
    target.make_ready()
    new = known = size = 0
    for copied in copy_objects(source, target, scratch=platform.settings.temp):
        new, known, size = new + copied.is_new, known + (not copied.is_new), size + copied.bytes * copied.is_new
    sys.stdout.write(f"copied {new} objects, {size} bytes; {known} were there already\n")
    return OK


def _verify(platform: Platform, *, quick: bool) -> int:
    count = size = faults = 0
    for named in named_objects(platform.db):
        count, size = count + 1, size + (named.bytes or 0)
        if fault := fault_of(platform.store, named, quick=quick):
            faults += 1
            sys.stdout.write(f"{fault.what}: {named.key} of {named.table} {named.row_id}\n")
    sys.stdout.write(f"verified {count} objects, {size} bytes: {faults or 'no'} faults\n")
    return FAULTY if faults else OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
