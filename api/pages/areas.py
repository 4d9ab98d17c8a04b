"""The areas of the pages, each a module with a `router`."""

from api.pages import assets, datasets, events, home, images, login, matrix, models, problems, projects, thresholds

AREAS = (assets, problems, login, events, home, projects, datasets, images, models, matrix, thresholds)
