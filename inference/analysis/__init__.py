"""From pixels to scores and a region: where the breast is, whether it is one, what the network says.

Does not know DICOM attributes, and how a result is told.
"""
