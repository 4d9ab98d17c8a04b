"""What an image processor of transformers does, as data of the predictor."""

from typing import Any

from pipeline.predictor.metadata import Interpolation, Preprocessing

_INTERPOLATIONS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


class ProcessorUnsupported(ValueError):
    """The image processor of the model does something that the predictor has no equal for."""


def preprocessing_of(processor: Any) -> Preprocessing:
    """`processor`: an object with the attributes of `preprocessor_config.json`. Raises ProcessorUnsupported."""
    if getattr(processor, "crop_pct", None) is not None:
        raise ProcessorUnsupported(f"{_name(processor)} with crop_pct is not supported.")
    interpolation = _INTERPOLATIONS.get(int(processor.resample))
    if interpolation is None or not processor.do_resize or not processor.do_rescale:
        raise ProcessorUnsupported(f"{_name(processor)}: resample {processor.resample} is not supported.")
    if abs(processor.rescale_factor * 255 - 1) > 1e-6:
        raise ProcessorUnsupported(f"{_name(processor)}: values are multiplied by {processor.rescale_factor}.")
    size, crop = dict(processor.size), _crop(processor)
    normal: dict[str, Any] = {"interpolation": interpolation, "reduce": True}
    if processor.do_normalize:
        normal |= {"mean": tuple(map(float, processor.image_mean)), "std": tuple(map(float, processor.image_std))}
    if size.get("shortest_edge"):
        if crop is None:
            raise ProcessorUnsupported(f"{_name(processor)}: inputs of different sizes are not supported.")
        return Preprocessing(crop[0], crop[1], "shortest-edge", resize_to=int(size["shortest_edge"]), **normal)
    width, height = int(size["width"]), int(size["height"])
    if crop not in (None, (width, height)):
        raise ProcessorUnsupported(f"{_name(processor)}: a crop after a resize to fixed sides is not supported.")
    return Preprocessing(width, height, "stretch", **normal)


def _crop(processor: Any) -> tuple[int, int] | None:
    if not getattr(processor, "do_center_crop", False):
        return None
    crop = dict(processor.crop_size)
    return int(crop["width"]), int(crop["height"])


def _name(processor: Any) -> str:
    return str(getattr(processor, "image_processor_type", None) or type(processor).__name__)
