"""The worker processes: they claim rows, run commands of the pipeline in child processes, and store the results."""
