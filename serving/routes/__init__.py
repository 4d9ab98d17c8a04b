"""The endpoints of serving."""
