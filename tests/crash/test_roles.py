"""Separate processes on one PostgreSQL, one of each role killed: nothing is lost, nothing doubled."""

import time

import pytest

from tests.support import postgresql
from tests.support.remembering_archive import RememberingArchive
from tests.support.site import Modality, Site, doubled, missing

pytestmark = [
    pytest.mark.timeout(600),
    # pynetdicom's threads die of connections that a kill cuts off
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
STUDIES = 6
SECONDS = 240


@pytest.fixture
def pacs():
    with RememberingArchive() as archive:
        yield archive


@pytest.fixture
def site(tmp_path, pacs):
    url = postgresql.shared().create("roles")
    several = Site(tmp_path, url=url, pacs_port=pacs.port)
    yield several
    several.end()
    postgresql.shared().execute("DROP DATABASE roles WITH (FORCE)")


def test_one_of_each_role_is_killed(site, pacs):
    for role in ("receive", "work", "deliver", "receive", "work"):
        site.launch(role)
    for process in site.processes:
        process.wait()
    for process in site.of("work"):
        process.lines.wait_for("worker ready", seconds=SECONDS)
    (deliver,), (first, second), (worker, _) = map(site.of, ("deliver", "receive", "work"))
    modalities = [
        Modality([first, second], [f"1.{number}" for number in range(STUDIES // 2)], seconds=SECONDS),
        Modality([second, first], [f"2.{number}" for number in range(STUDIES // 2)], seconds=SECONDS),
    ]
    first.lines.wait_for("instance received", times=5, seconds=SECONDS)
    first.kill()
    worker.lines.wait_for("job done", seconds=SECONDS)
    worker.kill()
    deliver.lines.wait_for("result delivered", seconds=SECONDS)
    deliver.kill()
    for process in (first, worker, deliver):
        process.launch()
    for modality in modalities:
        modality.join(SECONDS)
    acknowledged = modalities[0].acknowledged | modalities[1].acknowledged
    assert len(acknowledged) == 4 * STUDIES
    deadline = time.monotonic() + SECONDS
    while missing(pacs, acknowledged):
        assert time.monotonic() < deadline, f"{len(missing(pacs, acknowledged))} images are not reported"
        time.sleep(0.2)  # the archive has no word for this
    assert doubled(pacs, acknowledged, forgiven=1) == 0
    for process in site.processes:
        assert process.probe("/healthz") == (200, {"status": "alive"})
        assert process.stop() == 0
