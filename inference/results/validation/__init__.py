"""What is wrong with a finished object, found before a peer finds it.

Knows the standard's tables and no more of our results than a peer does.
"""
