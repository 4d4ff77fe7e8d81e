"""What a study waits for, in words: the same on the command line and in the console."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from scp import terminal
from scp.configuration.settings import Settings
from storage.database.engine import Database
from storage.overview import waiting
from storage.overview.studies import StudyOverview, StudyState
from storage.overview.waiting import Wait


def of_studies(
    database: Database, settings: Settings, studies: Sequence[StudyOverview], *, now: datetime
) -> dict[str, str]:
    """Return what each of ``studies`` waits for, and until when; one that waits for nothing is not in it."""
    with database.read() as tx:
        facts = waiting.of_studies(tx, [study.study_uid for study in studies])
    words = {study.study_uid: _words(study, facts[study.study_uid], settings, now) for study in studies}
    return {uid: sentence for uid, sentence in words.items() if sentence}


def _words(study: StudyOverview, wait: Wait, settings: Settings, now: datetime) -> str | None:
    match study.state:
        case StudyState.PARKED:
            return f"a person: {wait.parked}" if wait.parked else "a person"
        case StudyState.RECEIVED | StudyState.ANALYSING:
            return _analysis(wait)
        case StudyState.WAITING:
            return _report(wait, settings, now)
        case StudyState.REPORTED:
            return _delivery(wait, now)
        case StudyState.DELIVERED:
            return None


def _analysis(wait: Wait) -> str:
    images = "1 image" if wait.images_left == 1 else f"{wait.images_left} images"
    if wait.reason is not None:
        return f"the analysis of {images}, again at {terminal.moment(wait.not_before)}: {wait.reason}"
    return f"the analysis of {images}"


def _report(wait: Wait, settings: Settings, now: datetime) -> str:
    if wait.report_open or wait.changed_at is None:
        return "its report, which is being made"
    until = wait.changed_at + timedelta(seconds=settings.study.quiet_seconds)
    if until <= now:
        return "its report, which is due now"
    return f"further images, until {terminal.moment(until)} at the latest"


def _delivery(wait: Wait, now: datetime) -> str:
    if not wait.owed_to:
        return _commitment(wait, now)
    names = ", ".join(wait.owed_to)
    if wait.next_try is None or wait.next_try <= now:
        return f"{names} to take its results, due now"
    return f"{names} to take its results, tried at {terminal.moment(wait.next_try)}"


def _commitment(wait: Wait, now: datetime) -> str:
    names = ", ".join(wait.uncommitted)
    if wait.next_question is None or wait.next_question <= now:
        return f"{names} to say that it keeps the results (storage commitment), asked now"
    return (
        f"{names} to say that it keeps the results (storage commitment), "
        f"asked again at {terminal.moment(wait.next_question)}"
    )
