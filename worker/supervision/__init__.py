"""Keeping a claim, and starting, watching and stopping the process that works on it."""

__all__ = ["exit_causes", "launcher", "lease_keeper", "live_log", "local_launcher", "supervisor"]
