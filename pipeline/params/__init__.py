"""Params of trainers, of preparing and of imports: one schema each for the API, the command line and child processes.

Nothing heavy is imported here: the API checks requests with these schemas.
"""
