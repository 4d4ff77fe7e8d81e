"""The files: received instances, rendered heatmaps and finished results, each under a name of our own.

`archive` is what both kinds of place offer; `folder` keeps files inside the data directory, `bucket` in a
bucket of an S3-compatible server. Does not know rows: a file that no row names is nobody's.
"""
