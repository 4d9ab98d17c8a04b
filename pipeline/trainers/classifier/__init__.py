"""Shared by the trainers of classifiers (vit, clip): data, tensors, predictions, results, suspect labels, model ZIP."""
