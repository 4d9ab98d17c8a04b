"""The endpoints, one module for each noun of the API."""
