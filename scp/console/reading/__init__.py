"""Uploaded files: kept for a session, read by processes of their own, and forgotten."""
