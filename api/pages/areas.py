"""The areas of the pages, each a module with a `router`."""

from api.pages import assets, datasets, events, home, login, problems

AREAS = (assets, problems, login, events, home, datasets)
