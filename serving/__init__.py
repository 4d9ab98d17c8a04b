"""Predictions over HTTP: exported models by name, from the store, without the framework they were trained in."""
