"""Sign in, and out."""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scp.console import access, rendering, services, visitors
from scp.console.access import SignInError
from scp.console.openid import Provider
from scp.console.visitors import Visitor
from storage import users

NAME_LENGTH = 64
PASSWORD_LENGTH = 1024
MOST_WAITING: Final = 20
"""Sign-ins that may wait for the check of their passwords, about 0.1 s each."""
_checks: Final = anyio.CapacityLimiter(1)
"""The thread that checks passwords: strangers who sign in by the dozen take none of those that make pages."""


async def show(request: Request) -> Response:
    """Return the form."""
    return page(request)


def page(request: Request, *, problem: str | None = None, status: int = 200, name: str = "") -> Response:
    """Return the form, with what went wrong and the ``name`` that was given."""
    issuer = services.of(request).settings.openid.issuer
    context = {"problem": problem, "name": name, "openid": urlsplit(issuer).hostname}
    return rendering.page(request, "sign_in.html", context, status=status)


async def sign_in(request: Request) -> Response:
    """Check name and password; the browser gets a new secret, which nobody can have planted before."""
    await visitors.check_form(request)
    node = services.of(request)
    form = await request.form()
    name, password = str(form.get("name", ""))[:NAME_LENGTH], str(form.get("password", ""))[:PASSWORD_LENGTH]
    secret = visitors.new_secret()
    if _checks.statistics().tasks_waiting >= MOST_WAITING:
        raise HTTPException(503, "too many sign in at once: try again in some seconds", {"Retry-After": "5"})
    check = partial(access.sign_in, node.database, name, password, secret=secret, now=node.now())
    try:
        await anyio.to_thread.run_sync(check, limiter=_checks)
    except SignInError as error:
        await run_in_threadpool(node.trail.authenticated, name, visitors.address(request), refused=True)
        return page(request, problem=str(error), status=401, name=name)
    await run_in_threadpool(node.trail.authenticated, name, visitors.address(request))
    return visitors.with_secret(RedirectResponse("/", 303), secret, secure=node.settings.console.secure)


async def sign_out(request: Request) -> Response:
    """Forget who uses this browser, and what it has uploaded."""
    await visitors.check_form(request)
    node, secret = services.of(request), visitors.of(request).secret
    for upload in node.uploads.of_owner(secret):
        node.uploads.forget(upload)
    name = visitors.of(request).name
    await run_in_threadpool(access.sign_out, node.database, secret)
    if name is not None:
        await run_in_threadpool(node.trail.authenticated, name, visitors.address(request), out=True)
    fresh, secure = visitors.new_secret(), node.settings.console.secure
    if (provider_end := await run_in_threadpool(_provider_end, request, name)) is None:
        return visitors.with_secret(RedirectResponse("/sign-in", 303), fresh, secure=secure)
    # a form may send a browser to our own pages alone (Content-Security-Policy): a link leads to the provider
    request.state.visitor = Visitor(name=None, role=None, secret=fresh)
    response = rendering.page(request, "signed_out.html", {"address": provider_end})
    return visitors.with_secret(response, fresh, secure=secure)


def _provider_end(request: Request, name: str | None) -> str | None:
    """Return where the user signs out of the OpenID provider too, which has vouched for it."""
    provider: Provider | None = request.app.state.provider
    if provider is None or name is None:
        return None
    with services.of(request).database.read() as tx:
        user = users.find(tx, name)
    return None if user is None or user.subject is None else provider.end_address()
