"""What the HTTP services share: who may ask, limits, problems, methods, metrics, their OpenAPI document. Workers fetch
images by URL with its rules, too."""
