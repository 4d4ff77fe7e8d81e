"""What has been promised: stored instances, owed jobs, owed deliveries.

Knows rows, files and states. Does not know pixels, sockets or what a model is.
A function that returns has committed; a function that raises has changed nothing.
"""
