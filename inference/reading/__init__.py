"""From a file to a described image and its presentation pixels.

Does not know the network, and what is found.
"""
