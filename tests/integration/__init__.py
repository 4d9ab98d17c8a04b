"""The API and the worker with real servers."""
