"""HTTP: requests in, rows and links out."""
