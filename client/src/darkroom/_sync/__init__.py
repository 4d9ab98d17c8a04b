# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""The client: its source is `darkroom._sync`, from which `client/make_sync.py` writes `darkroom._sync`."""
