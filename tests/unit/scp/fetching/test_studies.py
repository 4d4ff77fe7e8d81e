from datetime import UTC, date, datetime, timedelta

import pytest

from scp.fetching.pace import Pace
from scp.fetching.query import Query
from scp.fetching.source import FetchError, Image, Keeper, SourceClosedError
from scp.fetching.studies import NOT_TRIED, Fetcher, Outcome
from scp.network.status import Foreign, Incomplete, OutOfResources
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram, write

A, B = (Query(origin=f"accession {name}", accession=name) for name in "AB")


class ScriptedSource:
    """Holds data sets by study; `fetch` hands them to the node, or fails as it is told."""

    def __init__(self, node, studies):
        self.node = node
        self.held = studies
        self.failures = []
        self.closed = set()

    def studies(self, query):
        if query.accession in self.closed:
            raise SourceClosedError("gone")
        return [name for name in self.held if query.accession in {None, name}]

    def images(self, study_uid):
        if study_uid in self.closed:
            raise SourceClosedError("gone")
        return [
            Image(sop_instance_uid=str(image.SOPInstanceUID), series_uid="1")
            for image in self.held[study_uid]
        ]

    def fetch(self, study_uid, images):
        uids = {image.sop_instance_uid for image in images}
        self.node.receive(*(item for item in self.held[study_uid] if item.SOPInstanceUID in uids))
        return self.failures


@pytest.fixture
def node(tmp_path):
    in_process_node = InProcessNode(tmp_path)
    yield in_process_node
    in_process_node.close()


@pytest.fixture
def source(node):
    return ScriptedSource(node, {name: [mammogram("R", "CC", study=name)] for name in "AB"})


@pytest.fixture
def run(node, source):
    """Search and fetch; returns all lines as (study, outcome, images)."""
    pace = Pace(
        hours=None,
        interval=timedelta(0),
        waiting=lambda: 0,
        now=lambda: datetime.now(UTC),
        pause=lambda _: None,
    )
    fetcher = Fetcher(source=source, database=node.database, pace=pace, announce=lambda _: None)

    def lines(*queries):
        by_study, failed = fetcher.search(queries)
        return [*failed, *fetcher.fetch(by_study)]

    return lines


def outcomes(lines):
    return [(line.study_uid, line.outcome, line.images) for line in lines]


def test_study_is_fetched_once(run):
    assert outcomes(run(A, B)) == [("A", Outcome.FETCHED, 1), ("B", Outcome.FETCHED, 1)]
    assert outcomes(run(A, A)) == [("A", Outcome.HERE, 0)]


def test_only_the_missing_image_is_fetched(run, source):
    run(A)
    source.held["A"].append(mammogram("L", "CC", study="A", number=2))
    assert outcomes(run(A)) == [("A", Outcome.FETCHED, 1)]


def test_study_that_was_read_and_removed_is_not_fetched_again(run, node):
    run(A)
    node.work(later=timedelta(hours=1))
    node.deliver()
    node.now += timedelta(days=400)
    node.tasks.remove_old_studies()
    assert not node.known_studies()
    assert outcomes(run(A)) == [("A", Outcome.HERE, 0)]


def test_study_without_mammograms_is_no_failure(run, source):
    source.held["A"] = []
    assert outcomes(run(A)) == [("A", Outcome.NO_MAMMOGRAMS, 0)]


def test_query_without_a_study_is_a_failure_but_a_quiet_day_is_none(run, source):
    source.held = {}
    assert outcomes(run(A)) == [(None, Outcome.NEVER, 0)]
    assert run(Query(origin="studies", first=date(2026, 1, 1), last=date(2026, 1, 1))) == []


@pytest.mark.parametrize(("again", "outcome"), [(True, Outcome.AGAIN), (False, Outcome.NEVER)])
def test_image_that_does_not_come_says_why(run, source, again, outcome):
    source.failures = [FetchError("no such image", again=again)]
    source.held["A"].append(mammogram("L", "CC", study="A", number=2))
    source.node.receive = lambda *_: None
    (line,) = run(A)
    assert line.outcome is outcome
    assert line.reason == "2 of 2 images: no such image"


def test_nothing_more_is_tried_once_the_source_is_closed(run, source):
    source.closed = {"A"}
    source.held = {"A": [], "B": []}
    lines = run(Query(origin="studies", first=date(2026, 1, 1), last=date(2026, 1, 1)))
    assert [(line.study_uid, line.outcome) for line in lines] == [("A", Outcome.AGAIN), ("B", Outcome.AGAIN)]
    assert lines[1].reason == NOT_TRIED


def test_queries_behind_a_closed_source_are_not_tried(run, source):
    source.closed = {"A"}
    assert [line.reason for line in run(A, B)] == ["gone", NOT_TRIED]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Foreign("no mammogram"), None),
        (Incomplete("Patient ID is empty"), (FetchError, False)),
        (OutOfResources("disk reserve"), (SourceClosedError, True)),
        (OSError("read-only"), (SourceClosedError, True)),
        (RuntimeError("a bug"), (FetchError, False)),
    ],
)
def test_file_that_is_not_kept_is_gone_and_says_why(tmp_path, fault, expected):
    def receive(_path):
        raise fault

    path = write(mammogram("R", "CC"), tmp_path / "image.dcm")
    failure = Keeper(receive=receive).keep(path, {str(mammogram("R", "CC").SOPInstanceUID)})
    assert (failure and (type(failure), failure.again)) == expected
    assert not path.exists()
