"""What has been promised: stored instances, owed jobs, owed deliveries.

Knows rows, files and states. Does not know pixels, sockets or what a model is.
What is given a connection (``tx``) changes rows in its caller's transaction; all else has committed when it
returns. What raises has changed nothing.
"""
