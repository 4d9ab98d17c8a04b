"""A limit of this process's memory, above which it gets a MemoryError instead of taking the machine's."""

import resource


def limit_memory(limit_bytes: int) -> None:
    """Limit what this process allocates, and each process that it starts later. Linux; of no effect elsewhere.

    It is private writable memory (RLIMIT_DATA), not address space (RLIMIT_AS): torch and numpy map far more than they
    use, such as files of weights and the stacks and pools of their threads.
    """
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = limit_bytes if most == resource.RLIM_INFINITY else min(limit_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


def lift_memory_limit() -> None:
    """So that a process that met its limit can report it."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
