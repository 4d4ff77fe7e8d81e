"""Commands of `python -m models.training` with a file of their own; `__main__` registers them."""
