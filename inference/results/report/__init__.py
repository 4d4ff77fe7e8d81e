"""The study's Structured Report (TID 1500), as a tree that OHIF, Stone, Weasis and text converters show.

Does not know who is sent it, and what another kind of object looks like.
"""
