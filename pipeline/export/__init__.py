"""Exports of trained models: files that run without the framework they were trained in.

A format is one file here, one line in the catalogue, and one parameter of a contract test.
"""
