"""Which databases a test runs on. By its fixture `database_url` alone it runs on both, in every run."""

import pytest

# On SQLite in every run, on PostgreSQL in `make test-all`: for what takes seconds.
POSTGRES_IS_SLOW = pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgres", marks=[pytest.mark.integration, pytest.mark.slow])],
    indirect=True,
)
