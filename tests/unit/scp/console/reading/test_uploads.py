"""Uploads without a reader's process: owners, places, and what is left of an upload that is forgotten."""

import asyncio
import shutil
from datetime import UTC, datetime

import pytest

from inference import findings
from inference.decision import SameForAll
from inference.findings import AnalysisStatus
from scp import calibration
from scp.configuration.sections import Model, Node
from scp.configuration.settings import Settings
from scp.console.reading import uploads
from scp.console.reading.reader import ReaderError
from scp.console.reading.upload import Step, file_name
from scp.console.reading.uploads import MOST_WAITING, Busy, Uploads
from scp.console.services import Services
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.scanners.scores import Network, Scanner
from tests.support import results
from tests.support.mammograms import mammogram, write
from tests.support.scored import examine

SCANNER = Scanner(manufacturer="ACME", model="Mammo 3000")
AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class Unable:
    """A reader that can read nothing."""

    waiting = 0
    expected_seconds = 6.0
    worked_seconds = 0.0
    rests = False

    async def ask(self, _question, *, began=lambda: None):
        began()
        raise ReaderError("the file could not be analysed")


class Able(Unable):
    """A reader that says the same of every image."""

    async def ask(self, _question, *, began=lambda: None):
        began()
        return {"finding": findings.dump(results.measured((0.3, 0.2, 0.1, 0.4))), "seconds": 0.1}


class Unending(Unable):
    """A reader that never answers."""

    async def ask(self, _question, *, began=lambda: None):
        began()
        await asyncio.Event().wait()


def for_all(_study_uid):
    return SameForAll(threshold=results.RULE.threshold)


@pytest.fixture
def opened(tmp_path):
    every_upload = Uploads(Settings(node=Node(data_dir=tmp_path)))
    every_upload._previews = every_upload.analyses = Unable()
    every_upload.open()
    return every_upload


def upload_of(opened, owner, names=("left.png", "right.png"), *, folder=None):
    async def begin():
        upload = opened.begin(owner, folder or opened.new_folder(), names)
        await asyncio.gather(*upload.tasks)
        return upload

    return asyncio.run(begin())


def test_nobody_finds_the_upload_of_another_visitor(opened):
    first, second = upload_of(opened, "ann"), upload_of(opened, "ann")
    assert opened.find(first.key, "ann") is first
    assert opened.find(first.key, "bob") is None
    assert opened.find("no such key", "ann") is None
    assert (opened.of_owner("ann"), opened.of_owner("bob")) == ([second, first], [])


def test_a_file_that_cannot_be_read_ends_with_a_reason(opened):
    upload = upload_of(opened, "ann")
    assert upload.ended
    assert {(file.step, file.finding.status) for file in upload.files} == {
        (Step.ENDED, AnalysisStatus.FAILED)
    }
    assert [opened.percent(file) for file in upload.files] == [100, 100]
    assert len(upload.studies(results.RULE, for_all)) == 2  # pictures belong to no study


def test_a_dicom_file_is_flagged_from_the_threshold_that_its_scanner_has(opened, tmp_path):
    """As in a report and by ``analyze``: one image has one answer."""
    opened._previews = opened.analyses = Able()
    database = Database.open(tmp_path)
    settings = opened._settings.model_copy(update={"model": Model(flag=0.3)})
    node = Services(settings=settings, database=database, archive=FolderArchive(tmp_path), uploads=opened)
    folder = opened.new_folder()
    made_by = {"Manufacturer": SCANNER.manufacturer, "ManufacturerModelName": SCANNER.model}
    write(mammogram("R", rows=320, columns=256, **made_by), folder / file_name(0, "right.dcm"))
    upload = upload_of(opened, "ann", ("right.dcm",), folder=folder)

    def decision():
        (study,) = upload.studies(results.RULE, node.thresholds)
        (file,) = study.files
        return file.finding.decision

    assert (decision().flagged, decision().percentile) == (True, None)
    network = Network(name=node.manifest.name, version=node.manifest.version)
    examine(database, [number / 250 for number in range(250)], scanner=SCANNER, network=network, at=AT)
    proposal = calibration.look(database, SCANNER, network).proposed(0.5, at=AT, by="radiology")
    calibration.accept(database, [proposal])
    assert (decision().flagged, decision().percentile) == (False, 40)
    database.close()


class AbleOfOne(Able):
    """A reader that can read all but one file of an upload."""

    def __init__(self, unreadable):
        self.unreadable = unreadable

    async def ask(self, question, *, began=lambda: None):
        if question["file"].endswith(f"/{self.unreadable}.file"):
            raise ReaderError("the file could not be analysed")
        return await super().ask(question, began=began)


@pytest.mark.parametrize("damaged", [0, 2])
def test_a_damaged_copy_does_not_push_the_image_out_of_its_breast(opened, damaged):
    opened._previews = opened.analyses = AbleOfOne(damaged)
    folder, names = opened.new_folder(), ("0.dcm", "1.dcm", "2.dcm")
    for number, name in enumerate(names):
        view = ("CC", 1) if number in (0, 2) else ("MLO", 2)
        image = mammogram("R", view[0], number=view[1], rows=320, columns=256)
        write(image, folder / file_name(number, name))
    (study,) = upload_of(opened, "ann", names, folder=folder).studies(results.RULE, for_all)
    (breast,) = study.examination.breasts
    assert [image.view for image in breast.images] == ["CC", "MLO"]
    assert [file.status for file in study.files].count(AnalysisStatus.SUCCEEDED) == 2


def test_nothing_is_left_of_an_upload_that_is_forgotten(opened):
    upload = upload_of(opened, "ann")
    opened.forget(upload)
    assert not upload.folder.exists()
    assert opened.find(upload.key, "ann") is None


def test_what_an_earlier_console_left_is_removed(opened):
    folder = opened.new_folder()
    opened.open()
    assert not folder.exists()


def test_no_more_are_taken_than_may_wait(opened):
    opened._previews = opened.analyses = Unending()

    async def follow():
        upload = opened.begin("ann", opened.new_folder(), ["a.png"] * 40)
        with opened.room(0), opened.room(0):  # how many files they bring is known when they have come
            with opened.places(20):
                with pytest.raises(Busy, match="60 files wait to be analysed, and 64 may"), opened.places(5):
                    pass
                with opened.places(4), pytest.raises(Busy, match="again in a minute"), opened.room(0):
                    pass
            assert opened.waiting == 40
        opened.forget(upload)
        with opened.places(MOST_WAITING):
            pass
        await asyncio.gather(*upload.tasks, return_exceptions=True)

    asyncio.run(follow())


def test_uploads_side_by_side_leave_the_disk_its_reserve(opened, monkeypatch):
    reserve = opened._settings.node.disk_reserve_mb
    free = shutil.disk_usage(opened.root)._replace(free=(reserve + 300) * 1_000_000)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: free)
    with opened.room(200_000_000):
        with pytest.raises(Busy, match="the disk has no room"), opened.room(200_000_000):
            pass
        with pytest.raises(Busy, match="the disk has no room"), opened.room(None):  # of unknown size
            pass
        with opened.room(50_000_000):
            pass
    with opened.room(200_000_000):
        pass


@pytest.mark.parametrize(
    ("name", "own"),
    [("../../a.PNG", "3.file.png"), ("x.sh", "3.file"), ("", "3.file"), ("a.jpeg", "3.file.jpeg")],
)
def test_no_name_of_a_visitor_is_a_name_of_a_file(name, own):
    assert file_name(3, name) == own
