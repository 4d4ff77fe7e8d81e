import dataclasses
import io
import os
import re
import threading

import pydicom
import pytest
import structlog
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from scp import product
from scp.network.status import Foreign, Incomplete, OtherPatient, OtherPixels, OutOfResources, Unreadable
from scp.receiving import dataset
from scp.receiving.pixel_comparison import UNDECODABLE, same_pixels
from scp.receiving.store import Receiver
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.queue import arrivals, jobs
from storage.records import ArrivalOutcome, JobKind
from storage.states import JobState
from tests.support.mammograms import mammogram, write
from tests.support.owed import NOW


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def rings():
    return []


@pytest.fixture
def receiver(tmp_path, database, rings):
    return Receiver(
        database=database,
        archive=FolderArchive(tmp_path / "data"),
        device=product.device("SECONDREAD"),
        disk_reserve=0,
        destinations=lambda _: ("PACS",),
        takes=lambda *_: True,
        same_pixels=same_pixels,
        now=lambda: NOW,
        arrived=lambda: rings.append(1),
    )


@pytest.fixture
def keep(tmp_path, receiver):
    """Hand a data set to the receiver as pynetdicom does: a file in the incoming folder, removed after."""

    def hand_in(data_set, calling_ae="PACS"):
        path = receiver.archive.incoming / "received.dcm"
        write(data_set, path)
        try:
            return receiver.keep(path, calling_ae=calling_ae)
        finally:
            path.unlink(missing_ok=True)

    return hand_in


def kept_files(receiver):
    return list((receiver.archive.data_dir / "instances").rglob("*.dcm"))


def waiting(database):
    with database.read() as tx:
        return jobs.counts(tx)[JobKind.ANALYSE][JobState.WAITING]


def instance(database, data_set):
    with database.read() as tx:
        return arrivals.find(tx, str(data_set.SOPInstanceUID))


def test_new_image_is_on_disk_in_the_book_and_in_the_queue(keep, receiver, database, rings):
    image = mammogram("R", "CC")
    assert keep(image) is ArrivalOutcome.NEW
    row = instance(database, image)
    assert (row.standard_view, row.analysable, row.source_ae) == ("RCC", True, "PACS")
    assert pydicom.dcmread(receiver.archive.path(row.file)) == image
    assert waiting(database) == 1
    assert rings == [1]


def test_same_image_again_is_success_and_nothing_new(keep, receiver, database, rings):
    keep(mammogram("R", "CC"))
    assert keep(mammogram("R", "CC")) is ArrivalOutcome.DUPLICATE
    assert waiting(database) == 1
    assert len(kept_files(receiver)) == 1
    assert rings == [1]


def test_same_pixels_in_another_transfer_syntax_are_the_same_image(keep, receiver, database):
    image = mammogram("R", "CC")
    keep(image)
    compressed = mammogram("R", "CC")
    compressed.compress(RLELossless, generate_instance_uid=False)
    assert keep(compressed) is ArrivalOutcome.DUPLICATE
    implicit = mammogram("R", "CC")
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert keep(implicit) is ArrivalOutcome.DUPLICATE
    deflated = mammogram("R", "CC")
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert keep(deflated) is ArrivalOutcome.DUPLICATE
    assert len(kept_files(receiver)) == 1


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_other_pixels_under_a_known_uid_are_refused_and_the_first_stay(keep, receiver, database, syntax):
    image = mammogram("R", "CC")
    keep(image)
    other_image = mammogram("R", "CC", lesion=True)
    if syntax is not None:
        other_image.compress(syntax, generate_instance_uid=False)
    with pytest.raises(OtherPixels):
        keep(other_image)
    (file,) = kept_files(receiver)
    assert pydicom.dcmread(file).PixelData == image.PixelData
    assert waiting(database) == 1


def test_pixels_that_cannot_be_decoded_are_told_from_those_that_differ(tmp_path, capfd):
    whole, broken = tmp_path / "whole.dcm", tmp_path / "broken.dcm"
    write(mammogram("R", "CC"), whole)
    write(mammogram("R", "CC", lesion=True), broken)
    with structlog.testing.capture_logs() as logged:
        assert not same_pixels(whole, broken)
    assert logged == []
    broken.write_bytes(broken.read_bytes()[:-1000])
    with structlog.testing.capture_logs() as logged:
        assert not same_pixels(whole, broken)
    (line,) = logged
    assert "could not be compared" in line["event"]
    assert line["exit_code"] == UNDECODABLE
    assert "Traceback" not in capfd.readouterr().err


def test_corrected_name_becomes_the_current_header(keep, receiver, database):
    keep(mammogram("R", "CC", patient_name="Wrong^Jane"))
    assert keep(mammogram("R", "CC", patient_name="Right^Jane")) is ArrivalOutcome.HEADER_CHANGED
    (file,) = kept_files(receiver)
    assert pydicom.dcmread(file).PatientName == "Right^Jane"
    (identity,) = (receiver.archive.data_dir / "identities").rglob("*.dcm")
    assert pydicom.dcmread(identity).PatientName == "Right^Jane"


def test_other_pixels_that_another_process_has_kept_meanwhile_stand(keep, receiver, tmp_path, monkeypatch):
    place = FolderArchive.keep
    first = tmp_path / "data" / "incoming" / "first.dcm"
    write(mammogram("R", "CC", lesion=True), first)
    beside = dataclasses.replace(receiver, locks=tuple(threading.Lock() for _ in receiver.locks))

    def keep_after_another(archive, path, **names):
        monkeypatch.setattr(FolderArchive, "keep", place)
        beside.keep(first, calling_ae="PACS")
        return place(archive, path, **names)

    monkeypatch.setattr(FolderArchive, "keep", keep_after_another)
    with pytest.raises(OutOfResources):  # nobody has compared them: they may be the same in other syntaxes
        keep(mammogram("R", "CC"))
    with pytest.raises(OtherPixels):
        keep(mammogram("R", "CC"))
    (file,) = kept_files(receiver)
    assert pydicom.dcmread(file).PixelData == mammogram("R", "CC", lesion=True).PixelData


def test_corrected_name_in_another_transfer_syntax_is_known_when_it_comes_again(keep, receiver, database):
    keep(mammogram("R", "CC", patient_name="Wrong^Jane"))
    right = mammogram("R", "CC", patient_name="Right^Jane")
    right.compress(RLELossless, generate_instance_uid=False)
    assert keep(right) is ArrivalOutcome.HEADER_CHANGED
    (file,) = kept_files(receiver)
    assert keep(right) is ArrivalOutcome.DUPLICATE
    assert keep(mammogram("R", "CC", patient_name="Right^Jane")) is ArrivalOutcome.DUPLICATE
    assert kept_files(receiver) == [file]
    with pytest.raises(OtherPixels):
        keep(mammogram("R", "CC", patient_name="Right^Jane", lesion=True))


def test_merged_study_moves_the_image(keep, database):
    keep(mammogram("R", "CC"))
    moved = mammogram("R", "CC")
    moved.StudyInstanceUID = "1.2.3.4"
    assert keep(moved) is ArrivalOutcome.HEADER_CHANGED
    assert instance(database, moved).study_uid == "1.2.3.4"


def test_second_sender_is_remembered_without_new_work(keep, database):
    keep(mammogram("R", "CC"), "PACS")
    assert keep(mammogram("R", "CC"), "MODALITY") is ArrivalOutcome.DUPLICATE
    assert waiting(database) == 1


def test_own_result_that_comes_back_is_dropped_with_success(keep, receiver, database):
    result = mammogram("R", "CC", sop_class=SecondaryCaptureImageStorage)
    result.Manufacturer, result.ManufacturerModelName = product.MANUFACTURER, product.MODEL_NAME
    assert keep(result) is None
    assert instance(database, result) is None
    assert kept_files(receiver) == []


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [(ComprehensiveSRStorage, "SR"), (SecondaryCaptureImageStorage, "OT"), (CTImageStorage, "CT")],
)
def test_what_is_no_mammogram_is_named_and_not_kept(keep, receiver, sop_class, modality):
    foreign = mammogram("R", "CC")
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = sop_class
    foreign.Modality = modality
    with pytest.raises(Foreign, match="not a mammogram"):
        keep(foreign)
    assert kept_files(receiver) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_foreign_object_is_foreign_whatever_it_lacks_and_however_damaged(keep, receiver):
    for sop_class in ("1.2.3.4.5", CTImageStorage):
        bare = mammogram("R", "CC", StudyInstanceUID="", PatientID="")
        bare.SOPClassUID = bare.file_meta.MediaStorageSOPClassUID = sop_class
        with pytest.raises(Foreign):
            keep(bare)
        path = write(bare, receiver.archive.incoming / "received.dcm")
        path.write_bytes(path.read_bytes()[:400] + b"\xff" * 100)
        with pytest.raises(Foreign):
            receiver.keep(path, calling_ae="PACS")
        path.unlink()
    assert kept_files(receiver) == []


@pytest.mark.parametrize("lying", ["request", "data set"])
def test_mammogram_that_is_called_something_else_is_never_dropped(receiver, lying):
    image = mammogram("R", "CC")
    path = write(image, receiver.archive.incoming / "received.dcm")
    mammography, radiography = (
        str(image.SOPClassUID).encode(),
        DigitalXRayImageStorageForPresentation.encode(),
    )
    before, of_request, between, of_data_set, after = re.split(
        b"(" + re.escape(mammography) + b")", path.read_bytes()
    )
    assert of_request == of_data_set
    of_request, of_data_set = (radiography, of_data_set) if lying == "request" else (of_request, radiography)
    path.write_bytes(before + of_request + between + of_data_set + after)
    with pytest.raises(Incomplete, match="differ"):
        receiver.keep(path, calling_ae="PACS")


def test_foreign_object_needs_no_room_on_the_disk(keep, receiver, monkeypatch):
    monkeypatch.setattr(FolderArchive, "free_bytes", lambda _: -1)
    foreign = mammogram("R", "CC")
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = CTImageStorage
    with pytest.raises(Foreign):
        keep(foreign)
    with pytest.raises(OutOfResources):
        keep(mammogram("R", "CC"))


def test_tomosynthesis_is_kept_without_its_pixels(keep, receiver, database):
    tomosynthesis = mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage)
    assert keep(tomosynthesis) is ArrivalOutcome.NEW
    row = instance(database, tomosynthesis)
    assert not row.analysable
    (file,) = kept_files(receiver)
    assert file == receiver.archive.path(row.file)
    header_on_disk = pydicom.dcmread(file)
    assert "PixelData" not in header_on_disk
    assert header_on_disk.PatientID == tomosynthesis.PatientID
    assert row.size == file.stat().st_size
    assert keep(tomosynthesis) is ArrivalOutcome.DUPLICATE
    assert kept_files(receiver) == [file]


def test_corrected_name_of_tomosynthesis_wins_in_any_transfer_syntax(keep, receiver, database):
    def named(name):
        return mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage, patient_name=name)

    keep(named("Wrong^Jane"))
    right = named("Right^Jane")
    right.compress(RLELossless, generate_instance_uid=False)
    assert keep(right) is ArrivalOutcome.HEADER_CHANGED
    (file,) = kept_files(receiver)
    assert file == receiver.archive.path(instance(database, right).file)
    assert pydicom.dcmread(file).PatientName == "Right^Jane"
    assert keep(right) is ArrivalOutcome.DUPLICATE
    assert keep(named("Right^Jane")) is ArrivalOutcome.DUPLICATE
    assert kept_files(receiver) == [file]


def test_tomosynthesis_never_has_its_pixels_in_the_archive(keep, receiver, monkeypatch):
    tomosynthesis = mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage)
    monkeypatch.setattr(FolderArchive, "keep", lambda *_args, **_rest: pytest.fail("the frames were kept"))
    keep(tomosynthesis)
    assert len(kept_files(receiver)) == 1


def test_other_class_under_the_uid_of_a_tomosynthesis_is_refused(keep, database):
    keep(mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage))
    with pytest.raises(OtherPixels):
        keep(mammogram("R", "CC", lesion=True))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "PatientID"])
def test_image_that_could_not_be_filed_is_refused_by_name(keep, keyword):
    image = mammogram("R", "CC")
    setattr(image, keyword, "")
    with pytest.raises(Incomplete, match=keyword.replace("ID", " ID") if keyword == "PatientID" else keyword):
        keep(image)


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3/4", "a" * 10, "1." * 40])
def test_uid_that_is_none_is_refused_and_never_becomes_a_path(keep, receiver, uid):
    image = mammogram("R", "CC")
    with pytest.warns(UserWarning, match="Invalid value"):
        image.StudyInstanceUID = uid
    with (
        pytest.warns(UserWarning, match="Invalid value"),
        pytest.raises(Incomplete, match="StudyInstanceUID"),
    ):
        keep(image)
    assert kept_files(receiver) == []


def test_uid_of_command_and_data_set_must_agree(receiver):
    image = mammogram("R", "CC")
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    other_uid = image.SOPInstanceUID.replace("2.25.", "2.26.").encode()
    data = buffer.getvalue().replace(
        image.SOPInstanceUID.encode(), other_uid, 1
    )  # the first is the file meta's
    path = receiver.archive.incoming / "received.dcm"
    path.write_bytes(data)
    with pytest.raises(Incomplete, match="differ"):
        receiver.keep(path, calling_ae="PACS")


@pytest.mark.parametrize("content", [b"", b"no dicom", b"\0" * 128 + b"DICM", os.urandom(5000)])
def test_bytes_that_are_no_data_set_are_refused(receiver, content):
    path = receiver.archive.incoming / "received.dcm"
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        receiver.keep(path, calling_ae="PACS")


def deflated(receiver, **attributes):
    image = mammogram("R", "CC", **attributes)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = receiver.archive.incoming / "received.dcm"
    write(image, path)
    return path


def test_deflated_data_set_that_grows_too_large_is_refused_before_it_fills_anything(receiver, monkeypatch):
    monkeypatch.setattr(dataset, "LARGEST_INFLATED", 100_000)
    with pytest.raises(Unreadable, match="inflates to more than 100000 bytes"):
        receiver.keep(deflated(receiver), calling_ae="PACS")
    assert [path.name for path in receiver.archive.incoming.iterdir()] == ["received.dcm"]


def test_deflated_data_set_that_is_cut_short_is_refused(receiver):
    path = deflated(receiver)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(Unreadable):
        receiver.keep(path, calling_ae="PACS")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_overlong_element_before_the_pixels_is_kept_on_disk_and_never_in_memory(
    keep, receiver, database, monkeypatch, syntax
):
    monkeypatch.setattr(dataset, "LARGEST_ELEMENT", 100_000)
    image = mammogram("R", "CC")
    image.add_new(0x00091001, "OB", bytes(200_000))
    image.add_new(0x00090010, "LO", "TEST")
    image.file_meta.TransferSyntaxUID = syntax
    path = receiver.archive.incoming / "looked-at.dcm"
    write(image, path)
    assert 0x00091001 not in dataset.read(path).header
    assert keep(image) is ArrivalOutcome.NEW
    row = instance(database, image)
    assert len(pydicom.dcmread(receiver.archive.path(row.file))[0x00091001].value) == 200_000


def test_without_memory_the_peer_is_asked_to_try_again(keep, monkeypatch):
    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(dataset, "read", greedy)
    with pytest.raises(OutOfResources, match="memory"):
        keep(mammogram("R", "CC"))


def test_below_the_disk_reserve_nothing_is_kept(receiver, tmp_path, database):
    full = Receiver(
        **{
            name: getattr(receiver, name)
            for name in Receiver.__dataclass_fields__
            if name not in ("disk_reserve", "locks")
        },
        disk_reserve=1 << 60,
    )
    path = receiver.archive.incoming / "received.dcm"
    write(mammogram("R", "CC"), path)
    with pytest.raises(OutOfResources):
        full.keep(path, calling_ae="PACS")
    assert waiting(database) == 0


def test_copy_under_another_study_and_patient_is_refused_before_it_touches_the_archive(
    keep, receiver, database
):
    original = mammogram("R", "CC")
    keep(original)
    before = kept_files(receiver)
    copy = mammogram("R", "CC", PatientID="COPY", StudyInstanceUID="1.2.3.4")
    with pytest.raises(OtherPatient) as caught:
        keep(copy, calling_ae="REGION")
    assert caught.value.status == 0xC000
    assert kept_files(receiver) == before
    assert instance(database, original).study_uid == original.StudyInstanceUID
    assert keep(original) is ArrivalOutcome.DUPLICATE


@pytest.mark.filterwarnings("ignore")  # pydicom warns of such UIDs
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("written", ["...", "..", "1..2", ".1.2", "1.2.", "1." + "2" * 63, "1.2/../../3"])
def test_uid_that_is_none_is_refused(keep, keyword, written, database):
    image = mammogram("R", "CC")
    image[keyword].value = written
    with pytest.raises((Incomplete, Unreadable)):
        keep(image)
    assert waiting(database) == 0


def test_image_is_not_acknowledged_where_the_log_of_the_database_has_vanished(keep, database):
    keep(mammogram("R", "CC"))
    database.backend.file.with_name(f"{database.backend.file.name}-wal").unlink()
    with pytest.raises(OutOfResources):
        keep(mammogram("L", "CC", number=2))
