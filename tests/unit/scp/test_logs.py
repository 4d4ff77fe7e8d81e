import io
import json
import logging
import warnings

import pydicom
import pytest
import structlog

from scp import logs
from scp.config import Log
from tests.support import logging_state

NAME = "Doe^Jane"


@pytest.fixture
def stream():
    """Somewhere to log to."""
    with logging_state.kept():
        yield io.StringIO()


def start(stream, *, level="info", form="json"):
    logs.configure(Log(level=level, format=form), stream)
    return structlog.get_logger("scp.test")


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_event_is_one_line_with_its_fields(stream):
    start(stream).info("instance received", study="1.2.3", bytes=7)
    (event,) = events(stream)
    assert event["event"] == "instance received"
    assert event["study"] == "1.2.3"
    assert event["bytes"] == 7
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_level_is_the_least_that_is_written(stream):
    log = start(stream, level="warning")
    log.info("no")
    log.warning("yes")
    assert [event["event"] for event in events(stream)] == ["yes"]


@pytest.mark.parametrize(
    "key",
    [
        "patient_name",
        "PatientID",
        "patient",
        "birth_date",
        "AccessionNumber",
        "referring_physician",
        "dataset",
    ],
)
def test_fields_that_identify_are_withheld(stream, key):
    start(stream).info("event", **{key: NAME, "inner": {key: NAME}})
    assert NAME not in stream.getvalue()
    assert "withheld" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_data_sets_and_what_is_in_them_are_withheld(stream, form):
    data_set = pydicom.Dataset()
    data_set.PatientName = NAME
    log = start(stream, form=form)
    log.info(
        "event", a=data_set, b=data_set.PatientName, c=data_set["PatientName"], uid=pydicom.uid.UID("1.2.3")
    )
    assert "Doe" not in stream.getvalue()
    assert "1.2.3" in stream.getvalue()


def quoting():
    """An error of ours that came of one of pydicom's, which quotes the value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pydicom.Dataset().add_new("PatientAge", "IS", NAME)
        except ValueError as error:
            raise RuntimeError("decoding failed") from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_exception_of_a_dicom_library_loses_its_words_and_keeps_its_place(stream, form):
    log = start(stream, form=form)
    with pytest.raises(RuntimeError) as caught:
        quoting()
    cause = caught.value.__cause__
    assert "Doe" in str(cause)
    log.error("not kept", reason=cause, exc_info=caught.value)
    said = stream.getvalue()
    assert "Doe" not in said
    assert "ValueError: (its words are withheld" in said
    assert "RuntimeError: decoding failed" in said
    assert "test_logs.py" in said


def test_exception_under_way_is_told_with_its_trace(stream):
    log = start(stream)
    try:
        quoting()
    except RuntimeError:
        log.exception("not kept")
    (event,) = events(stream)
    assert "RuntimeError: decoding failed" in event["exception"]
    assert "Doe" not in event["exception"]


def test_trace_ends_where_a_chain_bites_its_tail():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert logs.trace(one).count("ValueError") == 2


def test_warning_of_a_dicom_library_loses_its_words(stream):
    start(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = logs._log_warning
        pydicom.Dataset().SOPInstanceUID = NAME
        warnings.warn("a fault of ours", stacklevel=1)
    quoted, ours = events(stream)
    assert "Doe" not in json.dumps(quoted)
    assert quoted["where"].startswith("pydicom/")
    assert ours["text"] == "a fault of ours"


def test_libraries_are_routed_through_and_those_that_print_data_sets_kept_quiet(stream):
    start(stream, level="debug")
    logging.getLogger("pynetdicom.events").info("a data set")
    logging.getLogger("pydicom").error("a value %s", NAME)
    logging.getLogger("sqlalchemy.engine").info("parameters")
    logging.getLogger("apscheduler.executors").warning("late by %s", "3 s")
    assert [(event["event"], event["logger"]) for event in events(stream)] == [
        ("late by 3 s", "apscheduler.executors")
    ]


def test_console_shows_lines_to_copy_as_lines(stream):
    start(stream, form="console").warning("association rejected", to_admit_it_add='[[peers]]\nae_title = "A"')
    assert '    to_admit_it_add:\n    [[peers]]\n    ae_title = "A"\n' in stream.getvalue()


def test_what_comes_from_outside_forges_neither_lines_nor_colours(stream):
    start(stream, form="console").warning(
        "rejected", calling_ae="A\x1b[31m", other="B\n2026-01-01 [info] forged"
    )
    assert "\x1b" not in stream.getvalue()
    assert not any(line.startswith("2026-01-01 ") for line in stream.getvalue().splitlines())
