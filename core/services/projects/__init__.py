"""Projects: lookups, and what a user does with one."""
