"""From a trained run to a shipped folder: weights, manifest, card, plots."""
