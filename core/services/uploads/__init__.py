"""Use cases of a resumable upload: `sessions` from its start to its last part, `finish` from its parts to a job."""
