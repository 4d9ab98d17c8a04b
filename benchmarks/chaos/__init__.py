"""Faults injected into a service at work: nothing may be lost, stuck, doubled or left without its row or object."""
