"""The list of studies, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from inference.reading import digests
from scp.console import examined, rendering, services, visitors, wording
from scp.console.pages import identities
from scp.console.services import Services
from scp.console.visitors import Role
from scp.console.wording import STATES, TONES
from scp.operating import waiting
from storage.overview import pages
from storage.overview.pages import Choice, Page
from storage.overview.search import LOOKED_THROUGH, Term
from storage.overview.studies import StudyOverview
from storage.queue import arrivals

log = structlog.get_logger(__name__)

PAGE_SIZE: Final = 50
WORDS_LENGTH: Final = 64
FIELDS: Final = ("q", "choice", "page", identities.FIELD)
"""Fields of forms, and parts of an address of the list."""
CHOICES: Final = {
    Choice.ALL: "all",
    Choice.OPEN: "not settled",
    Choice.PARKED: "need a person",
    Choice.WORKING: "in work",
    Choice.OWED: "to be sent",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyLine:
    """One row of the list."""

    study: StudyOverview
    patient: str | None
    """Pseudonym."""
    identity: str | None
    """Who it is, where that was asked for."""
    senders: tuple[str, ...]
    flagged: bool | None
    """Whether a breast is; None without a report."""
    breasts: str
    """Which breasts are flagged, in words."""
    state: str
    tone: str
    waits: str | None
    """What the study waits for, and until when."""


def show(request: Request) -> Response:
    """Return one page of the list."""
    return _answer(request, request.query_params)


async def find(request: Request) -> Response:
    """Answer the form of the list: what somebody types may be a Patient ID, also one that is not known here.

    Browsers and proxies keep addresses. So only a pseudonym gets into one, to which a known Patient ID leads;
    any other words stay in forms.
    """
    await visitors.check_form(request)
    form = await request.form()
    query = {name: str(form[name])[:WORDS_LENGTH].strip() for name in FIELDS if name in form}
    return await run_in_threadpool(_find, request, query)


def _find(request: Request, query: dict[str, str]) -> Response:
    node, visitor, words = services.of(request), visitors.of(request), query.get("q", "")
    if words and visitor.may(Role.OPERATOR):
        digest = digests.digest_of_patient_id(words)
        with node.database.read() as tx:
            # images without a Patient ID have a digest too
            if pages.has_patient(tx, digest):
                log.info("studies of a Patient ID looked for", user=visitor.name or "no users")
                query["q"], words = node.pseudonyms.of(digest), ""
    if words:
        return _answer(request, query)
    return RedirectResponse(f"/studies?{urlencode(query)}", 303)


def _answer(request: Request, query: Mapping[str, str]) -> Response:
    """Return the page of the list that ``query`` asks for."""
    node = services.of(request)
    words = query.get("q", "").strip()[:WORDS_LENGTH]
    choice = _choice(query)
    number = int(query["page"]) if query.get("page", "").isdecimal() and len(query["page"]) < 7 else 1  # noqa: PLR2004
    page, lines = _look(node, words, choice, max(1, number))
    if identities.may_show(request, [line.study.study_uid for line in lines], query=query):
        lines = [replace(line, identity=_identity(node, line.study.study_uid)) for line in lines]
    last = max(1, -(-page.total // PAGE_SIZE))
    return rendering.page(
        request,
        "studies.html",
        {
            "lines": lines,
            "total": page.total,
            "more": page.more,
            "looked_through": None if page.complete else LOOKED_THROUGH,
            "words": words,
            "choice": choice,
            "choices": CHOICES,
            "number": max(1, number),
            "address": None if request.method == "POST" else _address(query),
            "identified": identities.FIELD in query,
            "last": last,
        },
    )


def _choice(query: Mapping[str, str]) -> Choice:
    return Choice(query["choice"]) if query.get("choice") in set(Choice) else Choice.ALL


def line(node: Services, study: StudyOverview) -> StudyLine:
    """Return the row of one study."""
    return _lines(node, [study])[0]


def _look(node: Services, words: str, choice: Choice, number: int) -> tuple[Page, list[StudyLine]]:
    term = Term(words=words, patients=node.pseudonyms.digests(words)) if words else None
    with node.database.read() as tx:
        page = pages.page(tx, term=term, choice=choice, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    return page, _lines(node, list(page.studies))


def _identity(node: Services, study_uid: str) -> str | None:
    """Return who the patient of a study is, by the header of an image that is kept."""
    with node.database.read() as tx:
        images = arrivals.images(tx, study_uid)
    image = examined.opened(node, images[0][0]) if images else None
    return None if image is None else identities.in_short(image)


def _address(query: Mapping[str, str]) -> str:
    """Return the address of this list without the number of its page."""
    return "?" + urlencode([(name, value) for name, value in query.items() if name != "page"])


def _lines(node: Services, studies: list[StudyOverview]) -> list[StudyLine]:
    uids = [study.study_uid for study in studies]
    with node.database.read() as tx:
        senders = pages.senders(tx, uids)
        patients = pages.patient_digests(tx, uids)
        flags = pages.flags(tx, uids)
    waits = waiting.of_studies(node.database, node.settings, studies, now=node.now())
    return [
        StudyLine(
            study=study,
            patient=None if (digest := patients[study.study_uid]) is None else node.pseudonyms.of(digest),
            identity=None,
            senders=tuple(senders[study.study_uid]),
            flagged=any(flags[study.study_uid].values()) if study.study_uid in flags else None,
            breasts=wording.flagged_breasts(flags.get(study.study_uid, {})),
            state=STATES[study.state],
            tone=TONES[study.state],
            waits=waits.get(study.study_uid),
        )
        for study in studies
    ]
