"""Where decoding processes come from: a server that has imported what they need, and forks.

Not by fork from here, since there are threads; and not a new interpreter for each, since that costs 0.2 s of importing.
"""

import multiprocessing
import tempfile
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext

_IMPORTED_BY_THEM = ["pipeline.inspect_ahead", "pipeline.images", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"]
# Of the temporary folder's path: the server listens at a socket 32 bytes deeper, and 107 is the most that Linux takes.
_LONGEST_FOLDER = 70


def warm_up() -> None:
    """Begin it, so that it imports while we do. Not needed, and does nothing a second time."""
    if _has_room_for_a_socket():
        multiprocessing.set_forkserver_preload(_IMPORTED_BY_THEM)
        forkserver.ensure_running()


def context() -> ForkServerContext | SpawnContext:
    warm_up()
    if _has_room_for_a_socket():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def _has_room_for_a_socket() -> bool:
    return len(tempfile.gettempdir()) <= _LONGEST_FOLDER
