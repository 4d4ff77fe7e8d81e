"""The list of studies, page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from scp.console import examined, rendering, services
from scp.console.pages import identities
from scp.console.services import Services
from scp.console.wording import STATES, TONES
from scp.operating import waiting
from storage.overview import pages
from storage.overview.pages import Choice, Page
from storage.overview.studies import StudyOverview
from storage.queue import arrivals

PAGE_SIZE: Final = 50
WORDS_LENGTH: Final = 64
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
    state: str
    tone: str
    waits: str | None
    """What the study waits for, and until when."""


def show(request: Request) -> Response:
    """Return one page of the list."""
    node = services.of(request)
    query = request.query_params
    words = query.get("q", "").strip()[:WORDS_LENGTH]
    choice = Choice(query["choice"]) if query.get("choice") in set(Choice) else Choice.ALL
    number = int(query["page"]) if query.get("page", "").isdecimal() and len(query["page"]) < 7 else 1  # noqa: PLR2004
    page, lines = _look(node, words, choice, max(1, number))
    if identities.may_show(request, [line.study.study_uid for line in lines]):
        lines = [replace(line, identity=_identity(node, line.study.study_uid)) for line in lines]
    last = max(1, -(-page.total // PAGE_SIZE))
    return rendering.page(
        request,
        "studies.html",
        {
            "lines": lines,
            "total": page.total,
            "more": page.more,
            "words": words,
            "choice": choice,
            "choices": CHOICES,
            "number": max(1, number),
            "address": _address(query),
            "identified": identities.FIELD in query,
            "last": last,
        },
    )


def line(node: Services, study: StudyOverview) -> StudyLine:
    """Return the row of one study."""
    return _lines(node, [study])[0]


def _look(node: Services, words: str, choice: Choice, number: int) -> tuple[Page, list[StudyLine]]:
    patients = _patients(node, words) if words.upper().startswith("P-") else ()
    with node.database.read() as tx:
        page = pages.page(
            tx,
            words=words,
            patients=patients,
            choice=choice,
            offset=(number - 1) * PAGE_SIZE,
            limit=PAGE_SIZE,
        )
    return page, _lines(node, list(page.studies))


def _identity(node: Services, study_uid: str) -> str | None:
    """Return who the patient of a study is, by the header of an image that is kept."""
    with node.database.read() as tx:
        images = arrivals.images(tx, study_uid)
    image = examined.opened(node, images[0][0]) if images else None
    return None if image is None else identities.in_short(image)


def _address(query: QueryParams) -> str:
    """Return the address of this list without the number of its page."""
    return "?" + urlencode([(name, value) for name, value in query.items() if name != "page"])


def _patients(node: Services, pseudonym: str) -> tuple[str, ...]:
    """Return the digests of the patients who are called so here."""
    with node.database.read() as tx:
        digests = set(pages.patient_digests(tx).values())
    return tuple(digest for digest in digests if digest and node.pseudonym(digest) == pseudonym.upper())


def _lines(node: Services, studies: list[StudyOverview]) -> list[StudyLine]:
    uids = [study.study_uid for study in studies]
    with node.database.read() as tx:
        senders = pages.senders(tx, uids)
        digests = pages.patient_digests(tx, uids)
    waits = waiting.of_studies(node.database, node.settings, studies, now=node.now())
    return [
        StudyLine(
            study=study,
            patient=node.pseudonym(digests.get(study.study_uid)),
            identity=None,
            senders=tuple(senders[study.study_uid]),
            state=STATES[study.state],
            tone=TONES[study.state],
            waits=waits.get(study.study_uid),
        )
        for study in studies
    ]
