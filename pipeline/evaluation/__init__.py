"""How good a model is, as numbers, pictures and pages; the same for every classifier. No framework, only numpy."""
