"""Networks side by side: the same patients, the same number of images seen, the same everything else.

`models.training.comparison.compare` is the door.
"""
