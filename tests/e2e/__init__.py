"""Real processes over HTTP, as a person starts them."""
