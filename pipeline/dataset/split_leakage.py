"""What a given split leaks: pictures of one part that are, or look like, pictures of another."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from core.domain.findings import Finding, Severity
from pipeline.dataset.model import SPLITS, Picture

_REMEDY = "Keep them in one part; or let the split be made anew (split=remake)."


def leaks(pictures: list[Picture], given: Mapping[str, str], groups: Mapping[str, str]) -> list[Finding]:
    """Warnings. `given`: picture path -> split; `groups`: sha256 -> name of the group that looks alike."""
    placed = [picture for picture in pictures if picture.path in given]
    return [*_identical(placed, given), *_alike(placed, given, groups)]


def _identical(pictures: list[Picture], given: Mapping[str, str]) -> Iterator[Finding]:
    """One for each content that is in several parts."""
    homes: dict[str, dict[str, str]] = defaultdict(dict)
    for picture in pictures:
        homes[picture.sha256].setdefault(given[picture.path], picture.name)
    for places in homes.values():
        if len(places) > 1:
            shown = " and ".join(f"{split} ({name})" for split, name in sorted(places.items()))
            detail = f"The same picture is in {shown}."
            yield Finding("split-leak", Severity.WARNING, min(places.values()), detail, _REMEDY)


def _alike(pictures: list[Picture], given: Mapping[str, str], groups: Mapping[str, str]) -> Iterator[Finding]:
    """One for each held-out picture, with the one that is most like it in a part that is trained on, or tuned on."""
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        members[groups[picture.sha256]].append(picture)
    for group in members.values():
        parts = {split: [picture for picture in group if given[picture.path] == split] for split in SPLITS}
        for held_out, learnt in (("val", parts["train"]), ("test", parts["train"] or parts["val"])):
            for picture in parts[held_out]:
                yield from _most_alike(picture, learnt, held_out, given)


def _most_alike(picture: Picture, learnt: list[Picture], part: str, given: Mapping[str, str]) -> Iterator[Finding]:
    if picture.look is None or not learnt or any(other.sha256 == picture.sha256 for other in learnt):
        return  # nothing, or told as identical
    from pipeline.decode.phash import LOOK_BYTES
    from pipeline.decode.phash_index import differing_bits  # numpy, 0.1 s: only where a split is given

    bits = differing_bits(picture.look, [other.look or b"\0" * LOOK_BYTES for other in learnt])
    fewest, twin = min(zip(bits, learnt, strict=True), key=lambda entry: (entry[0], entry[1].path))
    detail = (
        f"In {part}, and looks like {twin.name} in {given[twin.path]}: "
        f"{fewest} of the {LOOK_BYTES * 8} bits of their perceptual hashes differ."
    )
    yield Finding("split-leak-near", Severity.WARNING, picture.name, detail, _REMEDY)
