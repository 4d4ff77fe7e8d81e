"""What stands before every page: the name that was called, the site that calls, sizes, times and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names by which this machine calls itself."""
BODY_SECONDS: Final = 600.0
"""How long a request's body may take."""
FORM_BYTES: Final = 65_536
"""A request's body may have so many where it brings no files: strangers may send some of them."""
UPLOADS: Final = frozenset({"/analyse", "/predict"})
"""Addresses that take files; strangers are turned away there before anything is read."""
OF_PROGRAMS: Final = frozenset({"/predict"})
"""Addresses that say what is wrong in the field ``problem``."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CHARSETS: Final = frozenset(
    {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"iso8859-1", b"latin-1", b"latin1"}
)
"""How the text of a multipart form may be written. Starlette takes any codec of Python for one, also those
that raise what it does not expect (``undefined``, ``punycode``) and those that unpack (``zip``)."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Sent with every answer, unless the page says otherwise."""
ENCRYPTED: Final = {"Strict-Transport-Security": "max-age=2592000"}
"""Beside them over HTTPS of our own: for 30 days a browser calls this name by HTTPS alone (RFC 6797)."""


class Unwanted(Exception):  # noqa: N818 - what is said of the request, not a fault of ours
    """The body is too long, or took too long."""


@dataclass(frozen=True, slots=True)
class Guard:
    """ASGI middleware that refuses what no page should have to look at, and answers what the end cuts off."""

    app: ASGIApp
    names: Collection[str]
    """Host names under which the console may be called; empty: any."""
    most_bytes: int
    """Of a request's body that brings files."""
    cut_off: Callable[[Scope], Response]
    """Returns what is said to a request that has no answer yet when the console ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer within the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["scheme"] == "https" and _hostname(headers.get("host", "")) not in LOOPBACK:
            send = _with_headers(send, ENCRYPTED)
        if (refusal := self._refusal(scope, headers)) is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        body = _Body(receive, self._most_bytes(scope))
        try:
            await self._answer(scope, body.receive, _with_headers(send))
        except Exception:
            # what is between wraps what it hears in groups of exceptions; what has happened the body knows
            if body.late:
                await _refused(scope, 408, "the upload took too long")(scope, receive, _with_headers(send))
            elif body.large:
                await self._too_large(scope)(scope, receive, _with_headers(send))
            else:
                raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; the server cancels it where that takes longer than the end may.

        An answer that has begun stays a part, and the server closes its connection. The cancellation goes
        no further: the server would take it for a fault.
        """
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:
            if not has_begun:
                await self.cut_off(scope)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = _hostname(headers.get("host", ""))
        if self.names and host not in self.names:
            # a page elsewhere that has its name resolved to this machine must not be answered
            return _refused(scope, 421, f"this console is not called {host!r}")
        if scope["method"] not in SAFE_METHODS and _foreign(headers):
            return _refused(scope, 403, "requests that change something come from our own pages alone")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most_bytes(scope):
            return self._too_large(scope)
        if not _charset_is_taken(headers.get("content-type", "")):
            return _refused(scope, 415, "the text of a form is taken in utf-8, us-ascii or iso-8859-1")
        return None

    def _most_bytes(self, scope: Scope) -> int:
        return self.most_bytes if scope["path"] in UPLOADS else FORM_BYTES

    def _too_large(self, scope: Scope) -> Response:
        if scope["path"] not in UPLOADS:
            return _refused(scope, 413, "a form is shorter")
        most = self.most_bytes // 1_000_000
        return _refused(scope, 413, f"an upload has at most {most} MB ([console] upload_mb)")


def after_the_end(scope: Scope) -> str:
    """Return what to do where the console has ended before it has answered the request."""
    if scope["method"] in SAFE_METHODS:
        return "try again in a minute"
    if scope["path"] in UPLOADS:
        return "nothing of this was kept, try again in a minute"
    return "look in a minute whether this was done, before you try again"


def _refused(scope: Scope, status: int, words: str) -> Response:
    """Say what is wrong, as who calls that address reads it."""
    if scope["path"] in OF_PROGRAMS:
        return JSONResponse({"problem": words}, status)
    return PlainTextResponse(f"{words}\n", status)


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # brackets that no address has
        return ""


def _charset_is_taken(content_type: str) -> bool:
    """Tell whether the text of a body of that ``Content-Type`` can be read, as Starlette takes it apart."""
    kind, options = parse_options_header(content_type)
    return kind != b"multipart/form-data" or options.get(b"charset", b"utf-8").lower() in CHARSETS


def _foreign(headers: Headers) -> bool:
    """Tell whether a browser says that another site has made the request. Programs say nothing."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


class _Body:
    """Receives a body, and ends one that is too long or too slow."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        self._count = 0
        self._whole = False
        self.large = self.late = False

    async def receive(self) -> Message:
        """Return the next message. Raises Unwanted."""
        if self._whole:  # the end of the connection may be waited for as long as the answer takes
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            self.late = True
            raise Unwanted from error
        if message["type"] == "http.request":
            self._count += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._count > self._most_bytes:
                self.large = True
                raise Unwanted
        return message


def _with_headers(send: Send, answer_headers: Mapping[str, str] = HEADERS) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in answer_headers.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
