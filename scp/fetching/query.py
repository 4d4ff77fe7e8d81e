"""What is to be fetched: one query for each line of a list, or for the options of the command."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from scp.errors import WRONG_USAGE, CommandError

COLUMNS: Final = ("accession", "study_uid", "patient_id", "from", "to")
"""Columns of a list, named in its first line; the options of the command have the same names."""
_LONGEST: Final = {"accession": 16, "study_uid": 64, "patient_id": 64}
"""Characters (PS3.5 6.2: SH, UI, LO)."""
_NO_VALUE: Final = re.compile(r"[*?\\\x00-\x1f]")
"""Wildcards of C-FIND (PS3.4 C.2.2.2.4), the separator of values, and what no value may hold."""
EXACT: Final = ("StudyInstanceUID", "AccessionNumber", "PatientID")
"""Keys that a study must agree with, if it says anything of them."""
LONGEST_RANGE: Final = timedelta(days=3660)
"""Ten years: a range without a patient is asked for day by day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What studies must match; None matches every one. Dates are Study Dates, both included."""

    origin: str
    """What names it to the person who asked: never a patient."""
    accession: str | None = None
    study_uid: str | None = None
    patient_id: str | None = None
    first: date | None = None
    last: date | None = None

    @property
    def named(self) -> bool:
        """Whether it names studies or a patient, so that to find nothing is a failure."""
        return bool(self.accession or self.study_uid or self.patient_id)

    @property
    def keys(self) -> dict[str, str]:
        """What a peer is asked about studies, by keyword (PS3.4 C.6.2.1); "" matches every value."""
        days = "-".join("" if day is None else day.strftime("%Y%m%d") for day in (self.first, self.last))
        return {
            "StudyInstanceUID": self.study_uid or "",
            "AccessionNumber": self.accession or "",
            "PatientID": self.patient_id or "",
            "StudyDate": "" if days == "-" else days,
            "ModalitiesInStudy": "" if self.named else "MG",
        }

    def agrees(self, study: Mapping[str, str]) -> bool:
        """Tell whether ``study``, values by keyword, is one of those that are asked for.

        A peer that does not know a key ignores it, and answers with studies of others.
        """
        keys = self.keys
        pairs = [(keys[keyword], study[keyword]) for keyword in EXACT]
        return all(not key or not value or value == key.strip() for key, value in pairs)

    def by_day(self) -> Iterator[Query]:
        """Give the query in parts that an archive answers whole: a range of dates alone day by day."""
        if self.named or self.first is None or self.last is None:
            yield self
            return
        for number in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=number)
            yield replace(self, origin=f"studies of {day}", first=day, last=day)


def of_options(
    *,
    accessions: Sequence[str],
    study_uids: Sequence[str],
    patient_id: str | None,
    first: str | None,
    last: str | None,
) -> list[Query]:
    """Return the queries that the options of the command mean. Raises CommandError."""
    dates = {"from": first or "", "to": last or ""}
    rows = [{"accession": text, **dates} for text in accessions]
    rows += [{"study_uid": text, **dates} for text in study_uids]
    if patient_id is not None or (not rows and (first or last)):
        rows.append({"patient_id": patient_id or "", **dates})
    return [_query(row, place="") for row in rows]


def of_list(path: Path) -> list[Query]:
    """Read a list: its first line names `COLUMNS`, every other line is one query.

    The columns may stand in any order, separated by commas, semicolons or tabs. Raises CommandError.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is no text in UTF-8: save it as CSV UTF-8"
        )
        raise CommandError(f"{path} cannot be read: {reason}", code=WRONG_USAGE) from error
    head = lines[0] if lines else ""
    separator = max(",;\t", key=head.count)
    names = [name.strip().strip('"').lower() for name in head.split(separator)]
    if unknown := [name for name in names if name not in COLUMNS]:
        raise CommandError(
            f"{path} line 1: there is no column {unknown[0]!r}: the first line names the columns, which are "
            f"{', '.join(COLUMNS)}",
            code=WRONG_USAGE,
        )
    queries = []
    for number, values in enumerate(csv.reader(lines[1:], delimiter=separator), start=2):
        if any(value.strip() for value in values):
            row = dict(zip(names, (value.strip() for value in values), strict=False))
            queries.append(_query(row, place=f"{path.name} line {number}"))
    if not queries:
        raise CommandError(f"{path} names no study: one a line, below the line of columns", code=WRONG_USAGE)
    return queries


def _query(row: dict[str, str], *, place: str) -> Query:
    """Check one row; ``place`` names its line, and is empty for the options of the command."""
    prefix = f"{place}: " if place else ""
    for name, longest in _LONGEST.items():
        value = row.get(name, "")
        if len(value) > longest or _NO_VALUE.search(value):
            raise CommandError(
                f"{prefix}{name} is no single value: at most {longest} characters, without *, ? and \\",
                code=WRONG_USAGE,
            )
    first, last = (_date(row.get(name, ""), f"{prefix}{name}") for name in ("from", "to"))
    query = Query(
        origin="",
        accession=row.get("accession") or None,
        study_uid=row.get("study_uid") or None,
        patient_id=row.get("patient_id") or None,
        first=first,
        last=last,
    )
    if not query.named and (first is None or last is None):
        raise CommandError(
            f"{prefix}name an accession, a study_uid, a patient_id, or both from and to", code=WRONG_USAGE
        )
    if first and last and not timedelta(0) <= last - first <= LONGEST_RANGE:
        raise CommandError(
            f"{prefix}from {first} to {last} is no range of at most ten years", code=WRONG_USAGE
        )
    return replace(query, origin=f"{prefix}{_in_words(query)}")


def _date(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{name} is no date such as 2026-11-27", code=WRONG_USAGE) from error


def _in_words(query: Query) -> str:
    """Name the query by what is no patient's."""
    if query.study_uid:
        return f"study {query.study_uid}"
    if query.accession:
        return f"accession {query.accession}"
    days = f"{query.first or '…'} to {query.last or '…'}"
    if query.patient_id:
        return "the studies of the patient" + (f" from {days}" if query.first or query.last else "")
    return f"studies from {days}"
