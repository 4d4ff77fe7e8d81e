"""Pixels in, findings and DICOM results out.

Knows images, the network, findings and the objects that carry them. Does not know sockets, rows of a
database, threads, the clock or settings files: what it needs of those is handed to it. Every function
gives the same answer for the same arguments.
"""
