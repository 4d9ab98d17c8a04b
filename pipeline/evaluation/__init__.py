"""How good a model is, as numbers, images and pages; the same for every classifier. No framework, only numpy."""
