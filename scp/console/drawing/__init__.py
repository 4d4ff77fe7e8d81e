"""What pages show as pictures, charts and trees of words: made here, without any script.

Does not know requests and templates.
"""
