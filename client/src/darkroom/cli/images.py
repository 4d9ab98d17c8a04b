"""Images that a command names: files, folders and URLs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from darkroom.cli.failures import WrongUsage

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


@dataclass(frozen=True)
class Image:
    """A local file, or a URL that the service reads. `name` is as the person wrote it."""

    name: str
    path: Path | None = None

    @property
    def stem(self) -> str:
        """For the names of what is made of it."""
        path = self.path or Path(urlsplit(self.name).path)
        return path.stem or "image"


def find_images(names: Sequence[str]) -> list[Image]:
    """In their order, those of a folder sorted. Raises WrongUsage where there is no such image, or none in a folder."""
    return [image for name in names for image in _images_of(name)]


def _images_of(name: str) -> list[Image]:
    if name.startswith(("http://", "https://")):
        return [Image(name)]
    path = Path(name)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not files:
            raise WrongUsage(f"The folder {name} holds no images.", f"Images end with {', '.join(sorted(SUFFIXES))}.")
        return [Image(str(each), each) for each in files]
    if not path.is_file():
        raise WrongUsage(f"There is no image {name}.", "Name files, folders, or URLs with http:// or https://.")
    return [Image(name, path)]
