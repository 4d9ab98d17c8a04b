"""What schemathesis is told of this API, beside its OpenAPI document."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
