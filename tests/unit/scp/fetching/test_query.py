from datetime import date

import pytest

from scp.errors import CommandError
from scp.fetching import query


def options(**changes):
    empty = {"accessions": [], "study_uids": [], "patient_id": None, "first": None, "last": None}
    return query.of_options(**empty | changes)


def read(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return query.of_list(path)


def test_each_accession_is_a_query_of_its_own():
    queries = options(accessions=["A1", "A2"], study_uids=["1.2.3"])
    assert [query.origin for query in queries] == ["accession A1", "accession A2", "study 1.2.3"]


def test_patient_and_dates_are_one_query_that_does_not_name_the_patient():
    (query_of,) = options(patient_id="P 7", first="2026-01-02", last="20260203")
    assert (query_of.patient_id, query_of.first, query_of.last) == ("P 7", date(2026, 1, 2), date(2026, 2, 3))
    assert "P 7" not in query_of.origin


def test_dates_alone_are_asked_for_day_by_day():
    (query_of,) = options(first="2026-02-27", last="2026-03-01")
    assert [(day.first, day.last) for day in query_of.by_day()] == [
        (date(2026, 2, 27),) * 2,
        (date(2026, 2, 28),) * 2,
        (date(2026, 3, 1),) * 2,
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_list_in_any_order_of_columns(tmp_path, separator):
    lines = [["To", "patient_id", "FROM", "accession"], ["2026-02-01", "", "2026-01-01", "A1"], [""] * 4]
    query_of = read(tmp_path, "\ufeff" + "\n".join(separator.join(line) for line in lines) + "\n")
    assert [(entry.accession, entry.first, entry.origin) for entry in query_of] == [
        ("A1", date(2026, 1, 1), "list.csv line 2: accession A1")
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name\nDoe\n", "no column 'name'"),
        ("accession\n\n", "names no study"),
        ("", "no column ''"),
        ("accession\nA*\n", "list.csv line 2: accession is no single value"),
        ("accession\nA1234567890123456\n", "at most 16 characters"),
        ("accession,from\nA1,yesterday\n", "line 2: from is no date"),
        ("from\n2026-01-01\n", "both from and to"),
        ("from,to\n2026-01-02,2026-01-01\n", "no range"),
    ],
)
def test_list_that_cannot_be_meant_is_explained(tmp_path, text, sentence):
    with pytest.raises(CommandError, match=sentence.replace("*", r"\*")) as caught:
        read(tmp_path, text)
    assert caught.value.code == 2


def test_list_in_another_encoding_or_place_is_explained(tmp_path):
    path = tmp_path / "list.csv"
    with pytest.raises(CommandError, match="No such file"):
        query.of_list(path)
    path.write_bytes("patient_id\nM\xfcller\n".encode("latin-1"))
    with pytest.raises(CommandError, match="UTF-8"):
        query.of_list(path)
