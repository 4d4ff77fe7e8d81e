"""The node: sockets, clock, processes, configuration, wiring and the command line.

The only room that knows them all. It asks ``inference`` what an image shows and tells ``storage`` what
has been promised; neither of those knows the other or this room.
"""
