"""Groups of pictures that look alike (`pipeline.alike`): made in a decoding process, where numpy is there already."""

from collections.abc import Callable, Mapping

from core.domain.errors import PreparationFailed
from pipeline.decode_pool import Crash, decode_all
from pipeline.decoding import connect


class Groups(dict[str, str]):
    """Name -> the smallest name of its group; only those are kept that are not it themselves."""

    def __missing__(self, name: str) -> str:
        return name


def group_alike(looks: Mapping[str, bytes | None], tick: Callable[[int, int], None] = lambda *_: None) -> Groups:
    """The groups of these names. One without a look is a group of its own. The order plays no part.

    `tick(done, total)` may raise to stop.
    """
    names: dict[bytes, list[str]] = {}
    for name in sorted(looks):
        look = looks[name]
        if look is not None:
            names.setdefault(look, []).append(name)
    distinct = sorted(names)
    roots = _roots_of(distinct, tick)
    smallest: dict[int, str] = {}
    for look, root in zip(distinct, roots, strict=True):
        smallest[root] = min(smallest.get(root, names[look][0]), names[look][0])
    groups = Groups()
    for look, root in zip(distinct, roots, strict=True):
        groups.update((name, smallest[root]) for name in names[look] if name != smallest[root])
    return groups


def _roots_of(looks: list[bytes], tick: Callable[[int, int], None]) -> list[int]:
    if not looks:
        return []
    (roots,) = decode_all(connect, [b"".join(looks)], processes=1, tick=tick)
    if isinstance(roots, Crash):
        raise PreparationFailed(f"Looking for near-duplicates failed. {roots.why}")
    return roots
