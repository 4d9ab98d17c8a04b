"""Rules of HTTP that routes share: problems, idempotency, ranges, downloads, events, waiting, middleware, OpenAPI."""
