"""`make up`, `make demo` and `make down`: the platform on one machine."""
