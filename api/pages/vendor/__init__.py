"""Scripts of third parties: which ones, in which version, and how they get here."""
