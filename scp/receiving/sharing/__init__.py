"""One port, several processes that receive: an interpreter computes on one core at a time.

The process that listens decides who may associate and hands some connections over. Does not know how an
image is kept.
"""
