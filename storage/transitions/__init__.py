"""How a row moves from one state to the next; nothing else moves one."""
