"""The web application: which address shows which page, and what stands before them all."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from scp import archives
from scp.configuration.settings import Settings
from scp.console import access, rendering, security, services, visitors
from scp.console.metrics import NodeCollector
from scp.console.openid import Provider
from scp.console.pages import (
    analyse,
    model,
    openid,
    overview,
    predict,
    sign_in,
    studies,
    study,
    upload_pictures,
    watch,
)
from scp.console.pages import users as users_page
from scp.console.pages.overview import Watch
from scp.console.reading.uploads import Uploads
from scp.console.security import LOOPBACK, Guard
from scp.console.services import Services
from scp.console.visitors import COOKIE, Role, Visitor
from scp.network import web_session
from scp.web import entrance
from storage import users
from storage.database.engine import Database
from storage.errors import FilesUnavailable, StorageError

log = structlog.get_logger(__name__)

THEME_SECONDS: Final = 365 * 86_400
OPEN: Final = ("/sign-in", "/static/", "/theme", "/healthz", "/readyz")
"""How addresses begin that a stranger may open."""

ROUTES: Final = (
    Route("/", overview.show),
    Route("/retry", overview.retry_destination, methods=["POST"]),
    Route("/studies", studies.show),
    Route("/studies", studies.find, methods=["POST"]),
    Route("/studies/{study}", study.show),
    Route("/studies/{study}/retry", study.retry_study, methods=["POST"]),
    Route("/studies/{study}/analyse", study.analyse_study, methods=["POST"]),
    Route("/studies/{study}/results.zip", study.download),
    Route("/studies/{study}/results/{object}", study.download_object),
    Route("/studies/{study}/images/{image}/picture.jpg", study.image),
    Route("/studies/{study}/images/{image}/heatmap.jpg", study.heat),
    Route("/analyse", analyse.show),
    Route("/analyse", analyse.receive, methods=["POST"]),
    Route("/analyse/{upload}", analyse.follow),
    Route("/analyse/{upload}/forget", analyse.forget, methods=["POST"]),
    Route("/analyse/{upload}/{file:number}/preview.jpg", upload_pictures.preview),
    Route("/analyse/{upload}/{file:number}/picture.jpg", upload_pictures.image),
    Route("/analyse/{upload}/{file:number}/heatmap.jpg", upload_pictures.heat),
    Route("/analyse/{upload}/{file:number}/heatmap.png", upload_pictures.download),
    Route("/healthz", watch.alive),
    Route("/readyz", watch.ready),
    Route("/metrics", watch.metrics),
    Route("/sign-in", sign_in.show),
    Route("/sign-in", sign_in.sign_in, methods=["POST"]),
    Route("/sign-in/openid", openid.begin),
    Route("/sign-in/openid/back", openid.back),
    Route("/sign-out", sign_in.sign_out, methods=["POST"]),
    Route("/users", users_page.show),
    Route("/users", users_page.add, methods=["POST"]),
    Route("/users/change", users_page.change, methods=["POST"]),
    Route("/predict", predict.predict, methods=["POST"]),
    Route("/api", predict.documentation),
    Route("/openapi.json", predict.openapi),
    Route("/model", model.show),
    Route("/model/{name}", model.plot),
)


def build(settings: Settings, database: Database) -> Starlette:
    """Return the application. Raises ManifestError where the network's manifest cannot be read."""
    uploads = Uploads(settings)
    node = Services(
        settings=settings,
        database=database,
        archive=archives.open_archive(settings),
        uploads=uploads,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        uploads.open()
        tempfile.tempdir = str(uploads.root)  # what comes in lies there, too, and not in the system's folder
        watching = asyncio.create_task(uploads.watch())
        yield
        watching.cancel()
        tempfile.tempdir = None
        await uploads.close()

    console = settings.console
    open_to_any_name = console.host not in LOOPBACK and not console.names
    application = Starlette(
        routes=[
            *ROUTES,
            Route("/theme", _theme, methods=["POST"]),
            Mount("/static", StaticFiles(directory=rendering.FOLDER / "static")),
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(
                Guard,
                names=() if open_to_any_name else LOOPBACK.union(console.names),
                most_bytes=settings.console.upload_mb * 1_000_000,
                cut_off=_cut_off,
            ),
            Middleware(BaseHTTPMiddleware, dispatch=_recognise),
        ],
        exception_handlers={
            HTTPException: _refuse,
            StorageError: _storage_fails,
            FilesUnavailable: _storage_fails,
            ClientDisconnect: _leave,
            UnicodeError: _no_text,
            Exception: _fault,
        },
    )
    application.state.services = node
    application.state.provider = Provider(settings.openid) if settings.openid.on else None
    application.state.watch = Watch(node)
    application.state.registry = watch.registry_of(NodeCollector(node, application.state.watch))
    return application


async def _recognise(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Find out who asks, give a browser that is new a secret, and send a stranger to the sign-in."""
    node = services.of(request)
    secret = visitors.secret_of(request)
    request.state.visitor = await run_in_threadpool(_visitor, node, request, secret)
    if visitors.of(request).role is not None:
        entrance.admit(request)
    if visitors.of(request).role is None and not request.url.path.startswith(OPEN):
        response = await _turn_away(request)
    else:
        response = await call_next(request)
    if secret is None and COOKIE not in response.headers.get("set-cookie", ""):
        visitors.with_secret(response, visitors.of(request).secret, secure=node.settings.console.secure)
    return response


def _visitor(node: Services, request: Request, secret: str | None) -> Visitor:
    """Return who asks. Without users, which is so on loopback alone, anybody is an administrator."""
    own = secret or visitors.new_secret()
    with node.database.read() as tx:
        user_number = users.number(tx)
    if not user_number and not node.settings.openid.on:
        return Visitor(name=None, role=Role.ADMIN, secret=own)
    token = web_session.bearer_token(request.headers.get("authorization", "")) or None
    user = access.user_of(node.database, secret=secret, token=token, now=node.now())
    if user is None:
        return Visitor(name=None, role=None, secret=own)
    return Visitor(name=user.name, role=access.role(user), secret=own)


async def _turn_away(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/sign-in", 303)
    return JSONResponse(
        {"problem": "sign in, or send a token: Authorization: Bearer …"},
        status_code=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


async def _theme(request: Request) -> Response:
    """Remember the theme that a visitor wants, and show the same page again."""
    form = await request.form()
    theme, back = str(form.get("theme", "")), str(form.get("back", "/"))
    response = RedirectResponse(back if back.startswith("/") and not back.startswith("//") else "/", 303)
    if theme in rendering.THEMES:
        response.set_cookie(rendering.THEME_COOKIE, theme, max_age=THEME_SECONDS, samesite="strict")
    return response


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    return await _problem(request, error.status_code, error.detail, dict(error.headers or {}))


async def _leave(request: Request, _error: Exception) -> Response:
    log.info("a caller left before its request was whole", path=request.url.path)
    return Response(status_code=400)  # nobody reads it


async def _no_text(request: Request, _error: Exception) -> Response:
    return await _problem(request, 400, "a name or text of the request has characters that are none")


async def _storage_fails(request: Request, error: Exception) -> Response:
    log.warning("a page could not be shown", path=request.url.path, reason=str(error))
    return await _problem(request, 503, "the database or its disk cannot be used now: try again soon")


async def _fault(request: Request, error: Exception) -> Response:
    log.error("fault of the console", path=request.url.path, exc_info=error)
    return await _problem(request, 500, "this is a fault of the program; its log has more")


def _cut_off(scope: Scope) -> Response:
    """Return what is said when the console ends. Made in one go: the event loop is about to end, too."""
    log.info("a request was cut off by the end of the console", path=scope["path"])
    words = f"the console is being stopped or started again: {security.after_the_end(scope)}"
    return _in_words(Request(scope), 503, words, analyse.AGAIN)


async def _problem(
    request: Request, status: int, words: str, headers: dict[str, str] | None = None
) -> Response:
    return await run_in_threadpool(_in_words, request, status, words, headers)


def _in_words(request: Request, status: int, words: str, headers: dict[str, str] | None) -> Response:
    """Say what is wrong: to a program as JSON, to a person as a page."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"problem": words}, status_code=status, headers=headers)
    if not hasattr(request.state, "visitor"):
        request.state.visitor = Visitor(name=None, role=None, secret="")
    return rendering.page(
        request, "problem.html", {"status": status, "words": words}, status=status, headers=headers
    )
