"""Uploaded files: kept for a session, read by processes of their own, and forgotten.

Does not know the database of the node: nothing that is uploaded gets there.
"""
