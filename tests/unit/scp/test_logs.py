import io
import json
import logging
import sys
import threading
import warnings
from datetime import datetime

import pydicom
import pytest
import structlog

from inference.errors import Failed
from scp import log_privacy, logs
from scp.configuration.sections import Log
from tests.support import logging_state

NAME = "Doe^Jane"


@pytest.fixture
def stream():
    """Somewhere to log to."""
    with logging_state.preserved():
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


@pytest.mark.parametrize("key", ["sop_instance_uid", "study"])
def test_name_where_a_uid_should_be_is_withheld(stream, key):
    """A sender may call an instance as it likes."""
    log = start(stream)
    log.warning("instance refused", **{key: NAME})
    log.warning("instance refused", **{key: "1.2.840.10008"})
    assert [event[key] == "1.2.840.10008" for event in events(stream)] == [False, True]
    assert NAME not in stream.getvalue()


def quoting():
    """An error of ours that came of one of pydicom's, which quotes the value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pydicom.Dataset().add_new("PatientAge", "IS", NAME)
        except ValueError as error:
            raise Failed("decoding failed") from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_exception_of_a_dicom_library_loses_its_words_and_keeps_its_place(stream, form):
    log = start(stream, form=form)
    with pytest.raises(Failed) as caught:
        quoting()
    cause = caught.value.__cause__
    assert "Doe" in str(cause)
    log.error("not kept", reason=cause, exc_info=caught.value)
    output = stream.getvalue()
    assert "Doe" not in output
    assert "ValueError: (its words are withheld" in output
    assert "Failed: decoding failed" in output
    assert "test_logs.py" in output


def test_exception_under_way_is_told_with_its_trace(stream):
    log = start(stream)
    try:
        quoting()
    except Failed:
        log.exception("not kept")
    (event,) = events(stream)
    assert "Failed: decoding failed" in event["exception"]
    assert "Doe" not in event["exception"]


def born(text):
    """An error of Python's own about a value of a header."""
    with pytest.raises(ValueError, match="unconverted data") as caught:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - nothing comes of it
    return caught.value


def test_exception_of_python_about_a_value_loses_its_words(stream):
    error = born(f"19600102{NAME}")
    assert NAME in str(error)
    start(stream).error("not kept", reason=error, exc_info=error)
    assert NAME not in stream.getvalue()
    assert "ValueError: (its words are withheld" in stream.getvalue()


@pytest.mark.parametrize(
    "error",
    [Failed("no breast found"), OSError(28, "No space left on device"), ImportError("No module named x")],
)
def test_exception_of_ours_and_of_the_machine_keeps_its_words(stream, error):
    start(stream).error("not kept", reason=error, exc_info=error)
    (event,) = events(stream)
    assert str(error) in event["reason"]
    assert str(error) in event["exception"]


def test_exception_that_a_dicom_library_logs_as_its_event_loses_its_words(stream):
    start(stream)
    try:
        raise born(f"19600102{NAME}")
    except ValueError as error:
        logging.getLogger("pynetdicom.acse").exception(error)  # noqa: TRY401 - as pynetdicom does
    (event,) = events(stream)
    assert event["event"] == "exception in a library"
    assert "Traceback" in event["exception"]
    assert NAME not in stream.getvalue()


def test_uncaught_exception_of_a_thread_is_an_event_without_words(stream, capsys):
    start(stream)
    error = born(f"19600102{NAME}")

    def fail():
        raise error

    thread = threading.Thread(target=fail, name="listening")
    thread.start()
    thread.join()
    (event,) = events(stream)
    assert (event["event"], event["thread"]) == ("uncaught exception in a thread", "listening")
    assert "in fail" in event["exception"]
    assert NAME not in stream.getvalue() + capsys.readouterr().err


def test_uncaught_exception_is_an_event_without_words(stream, capsys):
    start(stream)
    error = born(f"19600102{NAME}")
    sys.excepthook(type(error), error, error.__traceback__)
    (event,) = events(stream)
    assert event["event"] == "uncaught exception"
    assert NAME not in stream.getvalue() + capsys.readouterr().err


def test_interrupt_from_the_keyboard_is_no_event(stream, capsys):
    start(stream)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not events(stream)
    assert "KeyboardInterrupt" in capsys.readouterr().err


def test_trace_ends_where_a_chain_bites_its_tail():
    first_error, two = ValueError("one"), ValueError("two")
    first_error.__cause__, two.__cause__ = two, first_error
    assert log_privacy.trace(first_error).count("ValueError") == 2


def test_warning_of_a_dicom_library_loses_its_words(stream):
    start(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = logs._log_warning
        pydicom.Dataset().SOPInstanceUID = NAME
        warnings.warn("a fault of ours", stacklevel=1)
    quoted, own = events(stream)
    assert "Doe" not in json.dumps(quoted)
    assert quoted["where"].startswith("pydicom/")
    assert own["text"] == "a fault of ours"


def test_libraries_are_routed_through_and_those_that_print_data_sets_kept_quiet(stream):
    start(stream, level="debug")
    logging.getLogger("pynetdicom.events").info("a data set")
    logging.getLogger("pydicom").error("a value %s", NAME)
    logging.getLogger("sqlalchemy.engine").info("parameters")
    logging.getLogger("apscheduler.scheduler").warning("a tick was left out: the one before it lasts")
    logging.getLogger("apscheduler.executors").error("late by %s", "3 s")
    assert [(event["event"], event["logger"]) for event in events(stream)] == [
        ("late by 3 s", "apscheduler.executors")
    ]


def test_library_that_sets_its_own_level_is_kept_quiet_all_the_same(stream):
    """Pydicom does on import, which may come after the logging is set up."""
    start(stream)
    for library in ("pydicom", "pynetdicom", "pynetdicom.utils"):
        logging.getLogger(library).setLevel(logging.DEBUG)
    pydicom.config.debug(debug_on=False, default_handler=False)
    logging.getLogger("pydicom").warning("Invalid value for VR UI: %s", NAME)
    logging.getLogger("pynetdicom.utils").warning("Non-conformant value %s", NAME)
    logging.getLogger("pynetdicom.events").info("a data set")
    assert stream.getvalue() == ""


def test_console_shows_lines_to_copy_as_lines(stream):
    start(stream, form="console").warning("association rejected", to_admit_it_add='[[peers]]\nae_title = "A"')
    assert '    to_admit_it_add:\n    [[peers]]\n    ae_title = "A"\n' in stream.getvalue()


def test_what_comes_from_outside_forges_neither_lines_nor_colours(stream):
    start(stream, form="console").warning(
        "rejected", calling_ae="A\x1b[31m", other="B\n2026-01-01 [info] forged"
    )
    assert "\x1b" not in stream.getvalue()
    assert not any(line.startswith("2026-01-01 ") for line in stream.getvalue().splitlines())
