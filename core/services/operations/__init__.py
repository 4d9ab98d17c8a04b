"""An operation: work in the background that is neither the preparation of a job nor a run."""
