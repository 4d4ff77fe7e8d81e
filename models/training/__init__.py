"""Training and evaluation: images with labels in, a shipped model with its card out.

The same reading and preprocessing as the node's. Nothing at run time imports it.
"""
