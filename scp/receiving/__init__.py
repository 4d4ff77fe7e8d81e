"""From a connection to a committed row: who may associate, what a C-STORE brings, what it is answered.

Does not know pixels, nor what becomes of an image that is kept.
"""
