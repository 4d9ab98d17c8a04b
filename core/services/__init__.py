"""The use cases, each over the platform or its database; transactions begin and end here."""
