"""Fetches studies that nobody sends: from what an administrator names to images that are kept.

Knows queries, peers that are asked and what came of it; how an image is kept, `scp.receiving` knows.
"""
