"""The kinds of operations that deleting treats in their own ways."""

IMAGE_INDEX = "image-index"
EVALUATE = "evaluate"
DERIVING = (IMAGE_INDEX,)  # what they make is made again when it is next asked for: nothing waits for them
