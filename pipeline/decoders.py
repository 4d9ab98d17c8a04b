"""Where decoding processes come from: a server that has imported what they need, and forks.

Not by fork from here, since there are threads; and not a new interpreter for each, since that costs 0.2 s of importing.
"""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

_IMPORTED_BY_THEM = ["pipeline.decode_pool", "pipeline.images", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"]


def warm_up() -> None:
    """Begin it, so that it imports while we do. Not needed, and does nothing a second time."""
    multiprocessing.set_forkserver_preload(_IMPORTED_BY_THEM)
    forkserver.ensure_running()


def context() -> ForkServerContext:
    warm_up()
    return multiprocessing.get_context("forkserver")
