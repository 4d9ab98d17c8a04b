"""A model that was trained elsewhere, uploaded and hostile: what it is, and its files as a trainer publishes them."""
