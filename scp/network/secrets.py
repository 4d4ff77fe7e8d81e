"""Secrets that the configuration names: in a file that nobody else may read, or in the environment."""

from __future__ import annotations

import os
from pathlib import Path

from scp.configuration.web import ENVIRONMENT
from scp.network import tls_files


class SecretError(Exception):
    """A secret cannot be had; the message says why and what to do, never what it is."""


def read(named: str) -> str:
    """Return the secret that ``named`` holds, a file or ``env:NAME``, without space at its ends.

    It is read anew each time, so that one that was renewed needs no restart. Raises SecretError.
    """
    if named.startswith(ENVIRONMENT):
        secret = os.environ.get(named.removeprefix(ENVIRONMENT), "")
    else:
        try:
            if (mode := tls_files.exposed(Path(named))) is not None:
                raise SecretError(f"others may read {named} ({mode}): chmod 600 it")
            secret = Path(named).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"{named} cannot be read") from error
    if not (secret := secret.strip()):
        raise SecretError(f"{named} is empty")
    return secret
