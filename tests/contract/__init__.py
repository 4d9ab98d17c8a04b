"""Every implementation of an interface against one contract."""
