"""Where training images come from: one file per published form, all of them giving rows of one table.

Knows folders, CSV files and file names of data sets as their publishers hand them out. Does not know how an
image is prepared or what learns from it. A file that should be there and is not stays a row: preparing
names and counts it.
"""
