"""Sessions of browsers: opened with the token, found by the secret in a cookie, revoked one by one or all at once."""
