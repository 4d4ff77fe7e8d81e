"""``python -m scp demo``: two real studies through a real node, beside an archive that plays the PACS.

Does not know the node from inside: it runs the program as anybody would.
"""
