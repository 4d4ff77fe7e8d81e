"""The ``check`` command: everything that a node needs, looked at before it is needed. Nobody is alarmed."""
