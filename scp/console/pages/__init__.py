"""One file for each page: from a request to what its template shows.

Does not know who may ask (`scp.console.app`), nor how anything is drawn.
"""
