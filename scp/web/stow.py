"""STOW-RS as a way in (PS3.18 10.5): a token names the peer, each part of a body is kept or refused alone."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from typing import Final

import structlog
from python_multipart.exceptions import MultipartParseError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.network import patience, secrets, status, web_session
from scp.network.secrets import SecretError
from scp.receiving.admission import LIMIT_EXCEEDED, Admission
from scp.receiving.admission import Request as AssociationRequest
from scp.receiving.calls import CallCounts
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals
from scp.receiving.store import Receiver
from scp.web import entrance, parts
from scp.web.parts import Parts, TooLargeError
from storage.refused import Refused

log = structlog.get_logger(__name__)

MEGABYTE: Final = 1_000_000
LONGEST_BOUNDARY: Final = 256
"""Characters that the parser of bodies takes; RFC 2046 5.1.1 allows 70."""
RETRY_SECONDS: Final = "60"
"""When a peer may come again that found no room."""


class _Request:
    """One request, as far as those who count by association know it."""

    def __init__(self) -> None:
        self.open = True

    def is_alive(self) -> bool:
        """Whether it can still bring something."""
        return self.open


@dataclass(frozen=True, kw_only=True, slots=True)
class Stow:
    """Answers STOW-RS requests of the peers that have a token."""

    settings: Settings
    receiver: Receiver
    admission: Admission
    """Counts a request as an association, with which it shares its limits."""
    refusals: Refusals
    calls: CallCounts
    ended: Callable[[], object]
    """Called after each request: its studies may be complete."""
    trail: Trail = NO_TRAIL
    receptions: Receptions = field(default_factory=Receptions)

    def app(self) -> Starlette:
        """Return the application for a web server."""
        return Starlette(
            routes=[
                Route("/studies", self.store, methods=["POST"]),
                Route("/studies/{study}", self.store, methods=["POST"]),
            ]
        )

    async def store(self, request: Request) -> Response:
        """Answer one request."""
        peer = await run_in_threadpool(self._peer, request)
        if peer is None:
            self.refusals.count_call(Refused.NO_TOKEN)
            return _words(HTTPStatus.UNAUTHORIZED, "no token of a peer", **{"WWW-Authenticate": "Bearer"})
        boundary = _boundary(request.headers.get("content-type", ""))
        if boundary is None or request.headers.get("content-encoding", "identity").lower() != "identity":
            self.refusals.count_call(Refused.NO_PARTS, peer.ae_title)
            return _words(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                'multipart/related; type="application/dicom" is taken, without a Content-Encoding',
            )
        if int(request.headers.get("content-length") or 0) > self._longest:
            return self._too_large(peer)
        counted = _Request()
        try:
            return await self._admit(request, peer, boundary, counted)
        finally:
            counted.open = False
            # in a thread, as `admit`: what it calls may write to a database, which may be out of reach
            if await run_in_threadpool(self.admission.forget, counted):
                await run_in_threadpool(self.ended)

    async def _admit(self, request: Request, peer: Peer, boundary: bytes, counted: _Request) -> Response:
        association = self._as_association(request, peer)
        decision = await run_in_threadpool(self.admission.admit, counted, association)
        self.calls.count(association, decision)
        if decision.refused is not None:
            self.refusals.count_call(decision.refused, peer.ae_title)
            log.warning("STOW-RS request not admitted", reason=decision.reason, peer=peer.ae_title)
            if decision.rejection == LIMIT_EXCEEDED:
                return _busy("too many requests and associations are open")
            self.trail.refused(peer.ae_title, _address(request), decision.reason)
            return _words(HTTPStatus.FORBIDDEN, "not admitted")
        entrance.admit(request)
        try:
            return await self._receive(request, peer, boundary, counted)
        finally:
            entrance.dismiss(request)

    async def _receive(self, request: Request, peer: Peer, boundary: bytes, counted: _Request) -> Response:
        def refused(reason: Refused, sop_class: str) -> None:
            self.refusals.count(counted, peer=peer.ae_title, sop_class_uid=sop_class, reason=reason)

        with Parts(
            boundary=boundary,
            longest=self._longest,
            folder=self.receiver.archive.incoming,
            keep=lambda path: self.receptions.keep(
                counted,
                path,
                peer=peer.ae_title,
                address=_address(request),
                keep=lambda: self.receiver.keep(path, calling_ae=peer.ae_title),
            ),
            drop_foreign=self.settings.node.foreign == "drop",
            refused=refused,
            study_uid=request.path_params.get("study"),
        ) as received:
            try:
                await self._take(request, received)
            except TooLargeError:
                return self._too_large(peer)
            except MultipartParseError:
                self.refusals.count_call(Refused.NO_PARTS, peer.ae_title)
                return _words(HTTPStatus.BAD_REQUEST, "the body is not in parts")
            except TimeoutError:
                self.refusals.count_call(Refused.TOO_SLOW, peer.ae_title)
                return _words(HTTPStatus.REQUEST_TIMEOUT, "the body, or the rest of it, came too slowly")
            except ClientDisconnect:
                self.refusals.count_call(Refused.CUT_OFF, peer.ae_title)
                log.warning("STOW-RS request ended in the middle of its body", peer=peer.ae_title)
                return _words(HTTPStatus.BAD_REQUEST, "cut off")
            except OSError as error:
                self.refusals.count_call(Refused.UNWRITABLE, peer.ae_title)
                log.exception("STOW-RS request not taken: the data directory cannot be written")
                return _busy(error.strerror or "no room")
            if not received.stored or not received.complete:
                self.refusals.count_call(Refused.NO_PARTS, peer.ae_title)
            return _answer(received)

    async def _take(self, request: Request, received: Parts) -> None:
        """Take the body chunk by chunk; raise TimeoutError where the peer lets this node wait too long.

        Counted is the waiting alone, over the whole body: keeping what has come takes time, too.
        """
        chunks = request.stream().__aiter__()
        silence, waited, size = self.settings.node.network_timeout_seconds, 0.0, 0
        while True:
            began = time.monotonic()
            async with asyncio.timeout(min(silence, patience.seconds(silence, size) - waited)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            waited, size = waited + time.monotonic() - began, size + len(chunk)
            await run_in_threadpool(received.take, chunk)

    @property
    def _longest(self) -> int:
        return self.settings.stow.request_mb * MEGABYTE

    def _peer(self, request: Request) -> Peer | None:
        """Return the peer whose token the request shows, None without one."""
        bearer = web_session.bearer_token(request.headers.get("authorization", ""))
        for peer in self.settings.peers:
            if bearer is None or peer.stow_token is None:
                continue
            try:
                token = secrets.read(peer.stow_token)
            except SecretError as error:
                log.error("token of a peer is of no use", peer=peer.ae_title, reason=str(error))  # noqa: TRY400 - a sentence
                continue
            if hmac.compare_digest(token.encode(), bearer.strip().encode()):
                return peer
        log.warning("STOW-RS request without a token of a peer", address=_address(request))
        self.trail.refused("", _address(request), "STOW-RS request without a token of a peer")
        return None

    def _as_association(self, request: Request, peer: Peer) -> AssociationRequest:
        return AssociationRequest(
            calling_ae=peer.ae_title,
            called_ae=self.settings.node.ae_title,
            address=_address(request),
            tls=self.settings.tls.on,
        )

    def _too_large(self, peer: Peer) -> Response:
        self.refusals.count_call(Refused.TOO_LARGE, peer.ae_title)
        return _words(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"at most {self.settings.stow.request_mb} MB and {parts.MOST_PARTS} parts a request",
        )


def _answer(received: Parts) -> Response:
    """Return the answer for what has come (PS3.18 table 10.5.3-1)."""
    stored = received.stored
    if not stored or not received.complete:
        return _words(HTTPStatus.BAD_REQUEST, "the body has no whole part, or no end")
    failed = [part.status for part in stored if part.status != status.SUCCESS]
    code, headers = HTTPStatus.OK, {}
    if failed:
        code = HTTPStatus.CONFLICT if len(failed) == len(stored) else HTTPStatus.ACCEPTED
    if failed and all(status.worth_another_try(reason) for reason in failed) and len(failed) == len(stored):
        code, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": RETRY_SECONDS}
    body = json.dumps(parts.answer(stored).to_json_dict())
    return Response(body, status_code=code, headers=headers, media_type="application/dicom+json")


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _busy(reason: str) -> Response:
    return _words(HTTPStatus.SERVICE_UNAVAILABLE, reason, **{"Retry-After": RETRY_SECONDS})


def _words(code: HTTPStatus, words: str, **headers: str) -> Response:
    return PlainTextResponse(f"{words}\n", status_code=code, headers=headers)


def _boundary(content_type: str) -> bytes | None:
    """Return the boundary of a body of DICOM files in parts; None of any other."""
    message = Message()
    message["content-type"] = content_type
    boundary, kind = message.get_param("boundary"), message.get_param("type")
    usable = message.get_content_type() == "multipart/related" and isinstance(boundary, str) and boundary
    if not usable or str(kind or "application/dicom").lower() != "application/dicom":
        return None
    return str(boundary).encode() if len(str(boundary).encode()) <= LONGEST_BOUNDARY else None
