"""What is owed to a peer, until the peer has it: sending, storage commitment, when to try again.

Does not know how results are made.
"""
