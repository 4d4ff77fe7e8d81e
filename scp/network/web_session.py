"""How this node calls by HTTP: whom it trusts, what it shows, and that nothing else decides about either.

And how a token is told from other credentials, whoever shows it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from scp.network import secrets

if TYPE_CHECKING:
    from requests import Session


def secure(session: Session, *, authorities: str | Path | None, credentials: str | None = None) -> None:
    """Let ``session`` do as the configuration says.

    Parameters
    ----------
    authorities
        PEM file of the authorities that it trusts; None for those of requests.
    credentials
        Where ``user:password`` or ``Bearer TOKEN`` is to be read (`secrets.read`).

    Raises
    ------
    SecretError
        The credentials cannot be had.
    """
    session.trust_env = False  # neither a proxy nor a password that the configuration does not name
    if authorities is not None:
        session.verify = str(authorities)
    if credentials is not None:
        session.headers["Authorization"] = _authorization(secrets.read(credentials))


def bearer_token(credentials: str) -> str | None:
    """Return what follows ``Bearer`` (RFC 6750 2.1), "" where nothing does; None of another scheme."""
    scheme, _, token = credentials.partition(" ")
    return token if scheme.lower() == "bearer" else None


def _authorization(secret: str) -> str:
    """Return the header ``Authorization`` for ``user:password`` or ``Bearer TOKEN``."""
    if token := bearer_token(secret):
        return f"Bearer {token.strip()}"
    # RFC 7617 2.1; requests would write it in Latin-1
    return f"Basic {base64.b64encode(secret.encode()).decode()}"
