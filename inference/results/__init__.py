"""DICOM objects that tell a study's findings: reports, captures, marks on the original.

`kinds` is their table. Does not know pixels of sources, the network, and to whom a result goes.
"""
