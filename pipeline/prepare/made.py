"""What the process that wrote an archive knows of it, so that its preparation neither hashes nor decodes it again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from pipeline.dataset.model import DatasetImage
from pipeline.decode.image_facts import ImageFacts, facts_from

Tick = Callable[[int, int], None]


def _is_there(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """`digests`: the sha256 of each image, by its name. `facts`: by the sha256, of images that were decoded for it.

    `wait` returns once the bytes of all images are in it, and calls a tick that may raise to stop; `wait_for` once
    those of one are, by its name, and calls a check. Before that it is whole but for them. Both raise
    PreparationFailed, OSError.
    """

    digests: dict[str, str] = field(default_factory=dict)
    facts: dict[str, ImageFacts] = field(default_factory=dict)
    wait: Callable[[Tick], None] = _is_there
    wait_for: Callable[[str, Callable[[], None]], None] = _is_there

    @classmethod
    def of(
        cls,
        images: Iterable[DatasetImage],
        *,
        wait: Callable[[Tick], None],
        wait_for: Callable[[str, Callable[[], None]], None],
    ) -> Self:
        """Of images under their paths. Those without traits are decoded by the preparation."""
        digests, facts = {}, {}
        for image in images:
            digests[image.path] = image.sha256
            if image.traits is not None:
                facts[image.sha256] = facts_from(
                    image.traits,
                    upright=(image.width, image.height),
                    format=image.format,
                    phash=image.phash,
                    end=image.end,
                    brightness=image.brightness,
                    blur=image.blur,
                )
        return cls(digests, facts, wait, wait_for)
