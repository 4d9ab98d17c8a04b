"""The areas of the pages, each a module with a `router`."""

from api.pages import (
    assets,
    comparisons,
    datasets,
    events,
    home,
    images,
    login,
    matrix,
    models,
    predict,
    problems,
    projects,
    runs,
    system,
    thresholds,
    training,
)

AREAS = (
    assets,
    problems,
    login,
    events,
    home,
    projects,
    datasets,
    images,
    models,
    matrix,
    thresholds,
    comparisons,
    predict,
    training,
    runs,
    system,
)
