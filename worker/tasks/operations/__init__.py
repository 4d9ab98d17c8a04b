"""Operations: the task, the catalogue of their kinds, and a module for each kind."""
