"""What the process that wrote an archive knows of it, so that its preparation neither reads nor decodes it again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from core.domain.findings import Finding
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import DatasetImage
from pipeline.decode.image_facts import ImageFacts, facts_from

Tick = Callable[[int, int], None]


def _is_there(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """`files`: each image in the archive, by its name. `log`: the findings that are in it. `facts`: by the sha256, of
    images that are not decoded again.

    `wait` returns once the bytes of all images are in it, and calls a tick that may raise to stop; `wait_for` once
    those of one are, by its name, and calls a check. Before that it is whole but for them. Both raise
    PreparationFailed, OSError.
    """

    files: dict[str, SourceFile] = field(default_factory=dict)
    log: list[Finding] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)
    wait: Callable[[Tick], None] = _is_there
    wait_for: Callable[[str, Callable[[], None]], None] = _is_there

    @classmethod
    def of(
        cls,
        images: Iterable[DatasetImage],
        *,
        files: dict[str, SourceFile],
        log: list[Finding],
        known: Mapping[str, ImageFacts],
        wait: Callable[[Tick], None],
        wait_for: Callable[[str, Callable[[], None]], None],
    ) -> Self:
        """Of images under their paths. Those without traits are decoded by the preparation, unless they are known."""
        facts = dict(known)
        for image in images:
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
        return cls(files, log, facts, wait, wait_for)
