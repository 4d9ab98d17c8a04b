"""Measurements, one module each: prepare, training overhead, upload memory. Each prints JSON lines."""
