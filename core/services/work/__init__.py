"""Leased work, written once for every kind of row that a worker claims; events, named locks."""
