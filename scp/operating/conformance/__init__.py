"""The conformance statement (PS3.2), written from the code and the configuration that are in force.

Does not know what peers do with it.
"""
