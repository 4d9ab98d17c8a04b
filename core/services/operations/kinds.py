"""The kinds of operations that other modules name, and those that deleting treats in their own ways."""

IMAGE_INDEX = "image-index"
EXPORT = "export"
EVALUATE = "evaluate"
BUNDLE = "bundle"
PREDICT_BATCH = "predict-batch"
PURGE = "purge"
EXPORT_DATASET = "export-dataset"
FREEZE = "freeze-test-set"
# What they make is made again when it is next asked for, or is of use with its version alone: nothing waits for them.
DERIVING = (IMAGE_INDEX, EXPORT, BUNDLE, EXPORT_DATASET)
