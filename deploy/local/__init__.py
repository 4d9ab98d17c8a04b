"""`make up`, `make demo`, `make down` and the upload client: the platform on one machine."""
