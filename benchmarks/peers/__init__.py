"""The servers that `benchmarks.predict` compares with. They run in a venv of their own: requirements-peers.txt."""
