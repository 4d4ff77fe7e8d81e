"""The read side, for command line and console. Changes nothing."""
