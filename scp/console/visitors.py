"""Who asks: a browser's own secret, what proves that a form is ours, and what a visitor may do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

COOKIE: Final = "secondread"
"""The cookie of a browser's secret."""
CSRF_FIELD: Final = "csrf"
_SECRET_BYTES: Final = 24
_SECRET_LENGTH: Final = 32
"""Characters of a secret: 24 bytes in base 64."""


class Role(IntEnum):
    """What a visitor may do; each may what those before it may."""

    VIEWER = 1
    """Look, under pseudonyms, and analyse files of its own."""
    OPERATOR = 2
    """See identities, retry, analyse again, download."""
    ADMIN = 3
    """Add, change and remove users."""

    @property
    def word(self) -> str:
        """The role as it is written in commands and pages."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Who asks, in one browser or program."""

    name: str | None
    """None where the console has no users, or of a stranger."""
    role: Role | None
    """None of a stranger, who may only sign in."""
    secret: str
    """Of the browser; uploads belong to it. Nobody else ever sees it."""

    @property
    def csrf(self) -> str:
        """What a form of ours holds: no other site can know it."""
        return hmac.new(self.secret.encode(), b"csrf", hashlib.sha256).hexdigest()

    def may(self, role: Role) -> bool:
        """Tell whether this visitor may what ``role`` may."""
        return self.role is not None and self.role >= role


def new_secret() -> str:
    """Return a secret for a browser that has none."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def secret_of(request: Request) -> str | None:
    """Return the browser's secret, or None where it has none of ours."""
    secret = request.cookies.get(COOKIE, "")
    return secret if len(secret) == _SECRET_LENGTH and secret.isascii() else None


def with_secret(response: Response, secret: str, *, secure: bool) -> Response:
    """Give a browser ``secret`` together with ``response``."""
    response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=secure, path="/")
    return response


def of(request: Request) -> Visitor:
    """Return who asks."""
    visitor: Visitor = request.state.visitor
    return visitor


def address(request: Request) -> str:
    """Return the network address of who asks."""
    return "" if request.client is None else request.client.host


def require(request: Request, role: Role) -> Visitor:
    """Return who asks. Raises HTTPException 403 where it may not what ``role`` may."""
    visitor = of(request)
    if not visitor.may(role):
        raise HTTPException(403, f"this needs a user with the role {role.word}")
    return visitor


async def check_form(request: Request) -> None:
    """Raise HTTPException 403 unless the form that was sent is one of ours, filled in by this browser."""
    form = await request.form()
    field = form.get(CSRF_FIELD)
    proof = of(request).csrf.encode()
    if not isinstance(field, str) or not hmac.compare_digest(field.encode("utf-8", "replace"), proof):
        raise HTTPException(
            403, "this form is from an older session, or cookies are off: load the page again and repeat"
        )
