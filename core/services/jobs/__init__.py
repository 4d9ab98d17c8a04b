"""A job: one upload and the dataset prepared from it."""
