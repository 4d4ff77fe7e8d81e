"""One DICOM association, either way: calling, presentation contexts, statuses, TLS.

Does not know what is stored or owed, and why an association is wanted.
"""
