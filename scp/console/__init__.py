"""The node's web pages, in a process of their own, off the receiving path.

Knows what `scp.operating` and `storage.overview` can say and how a browser shows it. Knows nothing of DICOM
associations. Whatever happens here, receiving and sending go on.
"""
