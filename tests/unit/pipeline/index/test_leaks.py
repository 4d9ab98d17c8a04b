"""What is said of a model whose data holds images of the frozen test set."""

import pytest

from pipeline.index.leaks import LeakedImage, caveat_of, leak_of

FLATTERED = "figures on that set flatter it."


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        (
            "train train val",
            "It was trained on 2 images of the frozen test set (generation 4), and 1 more, in val, chose its epoch and "
            f"its thresholds: {FLATTERED}",
        ),
        ("train", f"It was trained on 1 image of the frozen test set (generation 4): {FLATTERED}"),
        (
            "val val",
            f"2 images of the frozen test set (generation 4) in val chose its epoch and its thresholds: {FLATTERED}",
        ),
    ],
)
def test_images_of_val_are_not_said_to_be_trained_on(splits: str, sentence: str) -> None:
    found = [("yard/d1", LeakedImage(f"{n}.jpg", split, "a.jpg", None)) for n, split in enumerate(splits.split())]
    leak = leak_of(found, 4)
    assert leak is not None and caveat_of(leak) == sentence
