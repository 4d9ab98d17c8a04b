"""The version of Darkroom, equal to that of pyproject.toml (a test compares them): container images lack that file."""

VERSION = "0.1.0"
