"""Prepared images and how they are shown while training: variants, cut-outs, lesion maps."""
