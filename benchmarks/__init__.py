"""Measurements, one module each: prepare, training overhead, upload memory, chaos, load of the API, durable commits.

Each prints JSON lines.
"""
