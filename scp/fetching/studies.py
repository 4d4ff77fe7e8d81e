"""One study after the other: what is here is skipped, what is missing is fetched, what fails is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scp.fetching.pace import Pace
from scp.fetching.query import Query
from scp.fetching.source import FetchError, Source, SourceClosedError
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import arrivals

NO_STUDY: Final = "the peer has no such study"
NOT_TRIED: Final = "not tried any more, because nothing can be fetched now"


class Outcome(StrEnum):
    """What became of one study, or of a query that found none."""

    FETCHED = "fetched"
    HERE = "here already"
    NO_MAMMOGRAMS = "no mammograms"
    AGAIN = "again, later"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The answer about one study, or about a query that found none."""

    query: str
    """What named it to the person who asked."""
    study_uid: str | None
    outcome: Outcome
    images: int = 0
    """How many were fetched."""
    reason: str | None = None
    """Why not all of it is here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """Fetches what queries name from one source."""

    source: Source
    database: Database
    pace: Pace
    announce: Callable[[str], None]
    """Told what is done now."""

    def search(self, queries: Sequence[Query]) -> tuple[dict[str, Query], list[Line]]:
        """Return the studies that match ``queries``, each with the first that names it; and what failed."""
        queries_by_study: dict[str, Query] = {}
        failed: list[Line] = []
        parts = [part for query in queries for part in query.by_day()]
        for number, query in enumerate(parts):
            try:
                studies = self.source.studies(query)
            except SourceClosedError as error:
                failed += [_failure(query, None, error), *(_not_tried(rest) for rest in parts[number + 1 :])]
                break
            except FetchError as error:
                failed.append(_failure(query, None, error))
                continue
            for study_uid in studies:
                queries_by_study.setdefault(study_uid, query)
            if query.named and not studies:
                failed.append(_failure(query, None, FetchError(NO_STUDY, again=False)))
        return queries_by_study, failed

    def fetch(self, queries: dict[str, Query]) -> Iterator[Line]:
        """Fetch the studies that ``queries`` name; give one line for each, once it is known."""
        stopped = False
        for study_uid, query in queries.items():
            if stopped:
                yield _not_tried(query, study_uid)
                continue
            try:
                yield self._fetch(study_uid, query)
            except (SourceClosedError, StorageError) as error:
                yield _failure(query, study_uid, error)
                stopped = True
            except FetchError as error:
                yield _failure(query, study_uid, error)

    def _fetch(self, study_uid: str, query: Query) -> Line:
        images = self.source.images(study_uid)
        missing = {image.sop_instance_uid for image in images}
        missing -= self._already_here(missing)
        if not missing:
            outcome = Outcome.HERE if images else Outcome.NO_MAMMOGRAMS
            return Line(query=query.origin, study_uid=study_uid, outcome=outcome)
        self.pace.wait(self.announce)
        self.announce("fetching")
        absent = [image for image in images if image.sop_instance_uid in missing]
        failures = self.source.fetch(study_uid, absent)
        came = len(self._already_here(missing))
        for failure in failures:
            if isinstance(failure, SourceClosedError):
                raise failure
        if not failures:
            return Line(query=query.origin, study_uid=study_uid, outcome=Outcome.FETCHED, images=came)
        reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        return Line(
            query=query.origin,
            study_uid=study_uid,
            outcome=Outcome.AGAIN if any(failure.again for failure in failures) else Outcome.NEVER,
            images=came,
            reason=f"{len(absent) - came} of {len(absent)} images: {reasons}",
        )

    def _already_here(self, uids: set[str]) -> set[str]:
        with self.database.read() as tx:
            return arrivals.recognised(tx, uids)


def _failure(query: Query, study_uid: str | None, error: Exception) -> Line:
    again = not isinstance(error, FetchError) or error.again
    outcome = Outcome.AGAIN if again else Outcome.NEVER
    return Line(query=query.origin, study_uid=study_uid, outcome=outcome, reason=str(error))


def _not_tried(query: Query, study_uid: str | None = None) -> Line:
    return Line(query=query.origin, study_uid=study_uid, outcome=Outcome.AGAIN, reason=NOT_TRIED)
