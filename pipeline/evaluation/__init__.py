"""Evaluation of models: metrics, images, suspect labels and reports. No deep-learning framework is imported here."""
