"""Figures of merit of out-of-fold predictions, each with a bootstrap interval over patients.

`models.training.evaluation.evaluate` computes them all. Nothing here knows networks, images or TensorFlow.
"""
