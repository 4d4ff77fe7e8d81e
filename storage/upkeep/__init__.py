"""What keeps the store in order over time: retention, and times that a wrong clock has written.

Does not know when it is called.
"""
