"""Networks side by side: the same patients, the same number of images seen, the same everything else.

`models.training.compare` is the door.
"""
