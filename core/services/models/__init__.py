"""Model versions and their aliases, and what of them the run tracker lacks."""
