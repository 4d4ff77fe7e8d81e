"""What the operator has decided: ``config.toml`` and the environment, read once into frozen settings.

Does not know what the rest does with a setting; no socket, no database.
"""
