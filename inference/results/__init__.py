"""DICOM objects that tell a study's findings: Structured Report and Secondary Capture.

Does not know pixels of sources, the network, and to whom a result goes.
"""
