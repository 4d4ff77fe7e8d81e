"""What a process holds and may take: the locks of node and worker, memory, core files.

Does not know what the process does.
"""
