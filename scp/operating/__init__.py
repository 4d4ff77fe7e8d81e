"""The commands of the administrator, one file each and named as it is.

Reads and asks; what moves a row is in `storage`.
"""
