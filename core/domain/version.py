"""The version of Darkroom, as pyproject.toml has it (a test sees to that): an image has the code and no such file."""

VERSION = "0.1.0"
