"""Sign in, and out."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scp.console import access, rendering, services, visitors
from scp.console.access import SignInError

NAME_LENGTH = 64
PASSWORD_LENGTH = 1024


async def show(request: Request) -> Response:
    """Return the form."""
    return rendering.page(request, "sign_in.html", {"problem": None})


async def sign_in(request: Request) -> Response:
    """Check name and password; the browser gets a new secret, which nobody can have planted before."""
    await visitors.check_form(request)
    of = services.of(request)
    form = await request.form()
    name, password = str(form.get("name", ""))[:NAME_LENGTH], str(form.get("password", ""))[:PASSWORD_LENGTH]
    secret = visitors.new_secret()
    try:
        await run_in_threadpool(access.sign_in, of.database, name, password, secret=secret, now=of.now())
    except SignInError as error:
        await run_in_threadpool(of.trail.authenticated, name, _address(request), refused=True)
        return rendering.page(request, "sign_in.html", {"problem": str(error)}, status=401)
    await run_in_threadpool(of.trail.authenticated, name, _address(request))
    return visitors.with_secret(RedirectResponse("/", 303), secret, secure=of.settings.console.secure)


async def sign_out(request: Request) -> Response:
    """Forget who uses this browser, and what it has uploaded."""
    await visitors.check_form(request)
    of, secret = services.of(request), visitors.of(request).secret
    for upload in of.uploads.of_owner(secret):
        of.uploads.forget(upload)
    await run_in_threadpool(access.sign_out, of.database, secret)
    if (name := visitors.of(request).name) is not None:
        await run_in_threadpool(of.trail.authenticated, name, _address(request), out=True)
    fresh = visitors.new_secret()
    return visitors.with_secret(RedirectResponse("/sign-in", 303), fresh, secure=of.settings.console.secure)


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host
