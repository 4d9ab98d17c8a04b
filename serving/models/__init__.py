"""Which model a name means, and the models in memory."""
