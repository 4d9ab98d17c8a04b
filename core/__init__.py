"""What the API and the worker share: domain, settings, database, object store, task queue, tracking, use cases."""
