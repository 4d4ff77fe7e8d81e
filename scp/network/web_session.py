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

    from scp.network.web_answers import LimitedAdapter


def secure(
    session: Session, *, authorities: str | Path | None, credentials: str | None = None, silence: float
) -> LimitedAdapter:
    """Let ``session`` do as the configuration says; return what bounds its answers.

    Parameters
    ----------
    silence
        Seconds that the other side may be silent, and that an answer may take besides the time for its size.
    authorities
        PEM file of the authorities that it trusts; None for those of requests.
    credentials
        Where ``user:password`` or ``Bearer TOKEN`` is to be read (`secrets.read`).

    Raises
    ------
    SecretError
        The credentials cannot be had.
    """
    # where requests is needed: it takes long to import
    from scp.network.web_answers import LimitedAdapter  # noqa: PLC0415

    adapter = LimitedAdapter(silence=silence)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False  # neither a proxy nor a password that the configuration does not name
    if authorities is not None:
        session.verify = str(authorities)
    if credentials is not None:
        session.headers["Authorization"] = _authorization(secrets.read(credentials))
    return adapter


def no_answer(error: Exception) -> str:
    """Say what a call came to that ended in ``error`` and not in an answer."""
    from requests.exceptions import ReadTimeout  # noqa: PLC0415 - see above

    from scp.network.web_answers import AnswerTooLongError  # noqa: PLC0415 - see above

    if isinstance(error, AnswerTooLongError):
        return f"its answer does not end: {error}"
    if isinstance(error, ReadTimeout):
        return "no answer came in time, or not all of it"
    return f"nothing answers there ({type(error).__name__})"


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
