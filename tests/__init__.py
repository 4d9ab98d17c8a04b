"""The tests: `unit`, `contract`, `integration` and `e2e`, each laid out as the packages are."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
