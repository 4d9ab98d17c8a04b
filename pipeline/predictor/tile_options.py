"""What a request may say of tiles."""

OVERLAP = 0.2  # of a tile's side
MIN_TILE, MAX_TILE, MAX_OVERLAP = 32, 65_536, 0.9


class TilesInvalid(ValueError):
    """The model, or the options, allow no tiles; the message says why."""


def require_options(kind: str, *, tile: int, overlap: float) -> None:
    """Raises TilesInvalid."""
    if kind != "detection":
        raise TilesInvalid(
            "Tiles are for detectors: the model is a classifier, which names the class of an image as a whole."
        )
    if not MIN_TILE <= tile <= MAX_TILE:
        raise TilesInvalid(f"tile is {tile}: it must be {MIN_TILE} to {MAX_TILE} px.")
    if not 0 <= overlap <= MAX_OVERLAP:
        raise TilesInvalid(f"overlap is {overlap}: it must be 0 to {MAX_OVERLAP}.")
