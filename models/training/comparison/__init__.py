"""Networks side by side: the same patients, the same number of images seen, the same everything else.

`models.training.comparison.trials` trains and judges. Does not know what is shipped.
"""
