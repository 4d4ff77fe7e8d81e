"""Sign in at an OpenID provider: there, and back."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scp.configuration.openid import BACK
from scp.console import access, rendering, services, visitors
from scp.console.access import SignInError
from scp.console.openid import FLOW_SECONDS, OpenIDError, Provider
from scp.console.pages import sign_in

FLOW_COOKIE: Final = "openid-sign-in"
"""Of the sign-in under way. The browser's own cookie does not come along from another site, this one does."""


async def begin(request: Request) -> Response:
    """Send the browser to the provider."""
    provider, node = _provider(request), services.of(request)
    try:
        address, flow = await run_in_threadpool(provider.begin)
    except OpenIDError as error:
        return sign_in.page(request, problem=str(error), status=503)
    response = RedirectResponse(address, 303)
    response.set_cookie(
        FLOW_COOKIE,
        flow,
        max_age=round(FLOW_SECONDS),
        path=BACK,
        httponly=True,
        samesite="lax",
        secure=node.settings.console.secure,
    )
    return response


async def back(request: Request) -> Response:
    """Let the browser stand for whom the provider vouches for."""
    provider, node = _provider(request), services.of(request)
    secret = visitors.new_secret()
    flow, answer = request.cookies.get(FLOW_COOKIE, ""), dict(request.query_params)

    def work() -> str:
        person = provider.finish(flow, answer)
        name, change = access.enter(
            node.database,
            person.name,
            subject=person.subject,
            role=person.role,
            secret=secret,
            now=node.now(),
        )
        if change is not None:
            node.trail.user_changed(name, change, by=node.settings.openid.issuer)
        return name

    try:
        name = await run_in_threadpool(work)
    except (OpenIDError, SignInError) as error:
        await run_in_threadpool(node.trail.authenticated, "unknown", visitors.address(request), refused=True)
        response = sign_in.page(request, problem=str(error), status=401)
    else:
        await run_in_threadpool(node.trail.authenticated, name, visitors.address(request))
        # no redirect: coming from another site, it would not bring the new cookie along
        response = visitors.with_secret(
            rendering.page(request, "signed_in.html", {}), secret, secure=node.settings.console.secure
        )
    response.delete_cookie(FLOW_COOKIE, path=BACK)
    return response


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise HTTPException(404, "nobody signs in by OpenID here: [openid] issuer is empty")
    return provider
