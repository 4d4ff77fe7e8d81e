"""What a process holds and may take: locks, memory, core files; how a child is kept alive and ends.

Does not know what the process does.
"""
