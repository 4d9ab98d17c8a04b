"""The next revision of a dataset as one self-contained ZIP: what it is now, with additions and corrections."""

__all__ = ["parent", "run", "write_zip"]
