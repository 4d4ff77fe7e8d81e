"""What is owed to a peer, until the peer has it: sending and storage commitment.

Does not know how results are made.
"""
