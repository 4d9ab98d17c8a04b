"""The version of the client: that of Darkroom (a test compares them)."""

VERSION = "0.1.0"
