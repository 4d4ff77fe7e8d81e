"""The part of ``check`` that calls peers by DICOMweb: a query for one study, and a STOW-RS without an object.

The body of the latter ends where its first part would begin, so that nothing can be kept of it. Who takes
objects answers 200 (Orthanc), 204 or 400; PS3.18 10.5 does not say which.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.network import web, web_reasons
from scp.network.association import Unreachable
from scp.network.web import WebPeerClient
from scp.network.web_reasons import ServiceError
from scp.operating.checking.outcomes import Check, Outcome, failed, note, ok


def probe(peer: Peer, settings: Settings) -> Iterator[Check]:
    """Say whether ``peer`` answers queries, and whether it takes what it would be sent."""
    subject = f"peer {peer.ae_title}"
    is_destination = any(peer.ae_title in sender.destinations for sender in settings.peers)
    try:
        client = WebPeerClient(settings, peer)
    except Unreachable as error:
        yield failed(subject, str(error))
        return
    try:
        refusal = _refusal_of_queries(client)
        lets_in = refusal is None or refusal.code != HTTPStatus.UNAUTHORIZED
        stored = _stored(client, f"{subject}: STOW-RS") if is_destination and lets_in else None
    except Unreachable as error:
        yield failed(subject, str(error))
        return
    finally:
        client.release()
    if refusal is None:
        yield ok(subject, f"answers at {peer.url}")
    elif stored is not None and stored.outcome is Outcome.OK:
        yield note(subject, f"takes objects, but `fetch` cannot query it: {refusal}")
    else:
        yield failed(subject, str(refusal))
    if stored is not None:
        yield stored


def _refusal_of_queries(client: WebPeerClient) -> ServiceError | None:
    """Return the answer to a query for one study where it is none; raise Unreachable without any."""
    try:
        client.call(lambda service: service.search_for_studies(limit=1))
    except ServiceError as error:
        return error
    return None


def _stored(client: WebPeerClient, subject: str) -> Check:
    """Say what the answer to a STOW-RS without an object means. Raises Unreachable where there is none."""
    code = client.offer_nothing()
    if code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return failed(subject, f"HTTP {code}: it takes no application/dicom in multipart/related")
    if code < HTTPStatus.MULTIPLE_CHOICES or code in web.OBJECT_REFUSED:
        return ok(subject, "takes objects: it answers a request without any")
    if code in web_reasons.CREDENTIALS_REFUSED:
        return failed(subject, f"HTTP {code}, it does not let this node store: allow it to there")
    if code in web_reasons.NO_SERVICE:
        return failed(subject, f"HTTP {code}, it takes no objects at this url: switch STOW-RS on there")
    return note(
        subject, f"HTTP {code} to a request without an object: send one study to see whether it stores"
    )
