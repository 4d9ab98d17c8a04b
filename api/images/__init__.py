"""Single images of prepared sets: where their index and their thumbnails come from."""
