"""``python -m scp demo``: two real studies through a real node, beside an archive that plays the PACS."""
