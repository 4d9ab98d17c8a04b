"""What housekeeping and the readiness check do with rows."""
