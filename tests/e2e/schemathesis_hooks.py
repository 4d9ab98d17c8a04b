"""Hooks of schemathesis for this API."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
