"""The areas of the pages, each a module with a `router`."""

from api.pages import assets, home, problems

AREAS = (assets, problems, home)
