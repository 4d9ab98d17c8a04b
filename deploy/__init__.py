"""What runs the platform: the health check of a container, and `local`, the stack on one machine."""
