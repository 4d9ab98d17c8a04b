"""The bundle of a model version: one ZIP with all that its users need, and the check that it is whole.

Its predictor is this repository's own code, put into the ZIP when it is written.
"""
