"""Where the bytes of a project are: what it stores, what can be deleted, and deleting that."""
