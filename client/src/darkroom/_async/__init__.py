"""The client: its source is `darkroom._async`, from which `client/make_sync.py` writes `darkroom._sync`."""
