"""A study's way through receive, queue, report and outbox, on a hand clock and without a network."""

import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pydicom
import pytest
from pydicom.uid import BreastTomosynthesisImageStorage

from scp.configuration.sections import Peer
from storage.queue.reports import last_report
from storage.records import JobKind
from storage.upkeep import retention
from tests.support.archive_scp import heatmaps, reports
from tests.support.in_process import START, InProcessNode, ScriptedAnalyst
from tests.support.mammograms import mammogram, standard_views

QUIET = timedelta(seconds=181)


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


def text_of(report):
    return report.to_json()


def test_four_standard_views_are_reported_at_once(node):
    node.receive(*standard_views())
    assert node.work() == [JobKind.ANALYSE] * 4 + [JobKind.REPORT]
    results_owed = node.results_owed()
    assert (len(reports(results_owed)), len(heatmaps(results_owed))) == (1, 4)


def test_a_study_is_not_reported_while_only_some_of_its_images_have_the_right_patient(node):
    node.receive(*standard_views(PatientID="WRONG"))
    node.work()
    node.receive(*standard_views(PatientID="RIGHT")[:2])
    node.work(later=QUIET)
    assert node.results_owed() == []
    node.receive(*standard_views(PatientID="RIGHT")[2:])
    node.work(later=QUIET)
    assert {result.PatientID for result in node.results_owed()} == {"RIGHT"}


@pytest.fixture
def archives(tmp_path):
    """A node with two archives."""
    peers = tuple(Peer(ae_title=title, host="127.0.0.1", port=104) for title in ("LOCAL", "REGION"))
    opened = InProcessNode(tmp_path, peers=peers)
    yield opened
    opened.close()


REGIONAL = {
    "patient": {"PatientID": "REGION-77", "patient_name": "Roe^Jane"},
    "name": {"patient_name": "Roe^Jane"},
    "accession": {"AccessionNumber": "R-1"},
    "study": {"StudyInstanceUID": "1.2.3.77"},
}


@pytest.mark.parametrize("differs", REGIONAL)
def test_each_archive_gets_results_with_the_identity_that_it_sent(archives, differs):
    local = {"PatientID": "LOCAL-1", "AccessionNumber": "L-1", "patient_name": "Doe^Jane"}
    own = {"LOCAL": local, "REGION": local | REGIONAL[differs]}
    delivered = {name: [] for name in own}
    for number in range(3):
        for name, identity in own.items():
            archives.receive(*standard_views(**identity), calling_ae=name)
            jobs_done = archives.work(later=QUIET)
            assert not jobs_done or number == 0, "a study that is forwarded again is not read again"
        for name in own:
            delivered[name] += archives.deliver(name)
    for name, identity in own.items():
        sent = standard_views(**identity)[0]
        assert (len(reports(delivered[name])), len(heatmaps(delivered[name]))) == (1, 4)
        for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID"):
            assert {result[keyword].value for result in delivered[name]} == {sent[keyword].value}
        evidence = reports(delivered[name])[0].CurrentRequestedProcedureEvidenceSequence
        assert [item.StudyInstanceUID for item in evidence] == [sent.StudyInstanceUID]
    uids = [{result.SOPInstanceUID for result in results} for results in delivered.values()]
    assert uids[0].isdisjoint(uids[1])


def test_correction_at_one_archive_is_no_matter_of_the_other(archives):
    for name, patient in (("LOCAL", "LOCAL-1"), ("REGION", "REGION-77")):
        archives.receive(*standard_views(PatientID=patient), calling_ae=name)
    archives.work(later=QUIET)
    (before,) = reports(archives.deliver("LOCAL"))
    archives.deliver("REGION")
    archives.receive(*standard_views(PatientID="LOCAL-2"), calling_ae="LOCAL")
    archives.work(later=QUIET)
    assert archives.results_owed("REGION") == []
    results = archives.results_owed("LOCAL")
    assert {result.PatientID for result in results} == {"LOCAL-2"}
    (report,) = reports(results)
    predecessor = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == before.SOPInstanceUID


def test_late_image_of_one_archive_is_in_no_result_under_another_patient(archives):
    for name, patient in (("LOCAL", "LOCAL-1"), ("REGION", "REGION-77")):
        archives.receive(*standard_views(PatientID=patient), calling_ae=name)
    archives.work(later=QUIET)
    archives.deliver("LOCAL")
    archives.deliver("REGION")
    late = mammogram("R", "CC", number=5, PatientID="REGION-77")
    archives.now += timedelta(minutes=5)
    archives.receive(late, calling_ae="REGION")
    archives.work(later=QUIET)
    assert archives.results_owed("LOCAL") == []
    results_owed = archives.results_owed("REGION")
    (report,) = reports(results_owed)
    assert str(late.SOPInstanceUID) in text_of(report)
    assert [picture.ImageLaterality for picture in heatmaps(results_owed)] == [
        "R"
    ] * 3  # those of the other hold


def test_results_after_an_older_database_was_put_back_have_other_bytes_under_other_uids_alone(tmp_path):
    """The images come again later: the times of the first findings and reports are lost with the database."""
    uids_of = {}
    for name, hours in (("first", 0), ("again", 5), ("same time", 0)):
        node = InProcessNode(tmp_path / name)
        node.now += timedelta(hours=hours)
        node.receive(*standard_views(), mammogram("R", "XCCL", number=9, SpecimenDescriptionSequence=[]))
        node.work(later=QUIET)
        for path in (node.archive.data_dir / "results").rglob("*.dcm"):
            uid, data = pydicom.dcmread(path).SOPInstanceUID, path.read_bytes()
            assert uids_of.setdefault(uid, data) == data
        node.close()
    assert len(uids_of) == 2 * 7  # report, summary, four heatmaps, notice


def test_an_open_association_of_the_sender_holds_the_report_back(node):
    node.busy = {"PACS"}
    node.receive(*standard_views())
    assert JobKind.REPORT not in node.work()
    node.busy = set()
    assert node.work() == [JobKind.REPORT]


def test_an_incomplete_study_waits_for_its_quiet_time(node):
    node.receive(*standard_views()[:3])
    assert JobKind.REPORT not in node.work(later=timedelta(seconds=179))
    assert node.work(later=timedelta(seconds=2)) == [JobKind.REPORT]


def test_a_late_image_makes_a_new_report_that_names_its_predecessor(node):
    node.receive(*standard_views())
    node.work()
    (first,) = reports(node.deliver())
    node.now += timedelta(minutes=5)
    node.receive(mammogram("R", "CC", number=5))
    assert JobKind.REPORT not in node.work()
    node.work(later=QUIET)
    results_owed = node.results_owed()
    (second,) = reports(results_owed)
    reference = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.InstanceNumber == first.InstanceNumber + 1
    assert second.SeriesInstanceUID != first.SeriesInstanceUID
    assert "Replaces the report of" in text_of(second)
    sent_again = heatmaps(results_owed)  # of its breast; those of the other one are there, and hold still
    assert [picture.ImageLaterality for picture in sent_again] == ["R"] * 3
    assert all("heatmap 2" in picture.SeriesDescription for picture in sent_again)


@pytest.fixture
def marked(tmp_path):
    """A node whose archive takes Mammography CAD SR alone."""
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=104, objects=("cad_sr",))
    opened = InProcessNode(tmp_path, peers=(peer,))
    yield opened
    opened.close()


def test_a_peer_that_takes_cad_reports_alone_sees_which_one_counts(marked):
    marked.receive(*standard_views())
    marked.work()
    (first,) = marked.deliver()
    marked.receive(mammogram("R", "CC", number=5))
    marked.work(later=QUIET)
    (second,) = marked.deliver()
    reference = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == first.SOPClassUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_a_cad_report_that_nobody_was_sent_is_nobodys_predecessor(marked):
    marked.receive(*standard_views(PatientID="WRONG"))
    marked.work()
    assert len(marked.results_owed()) == 1
    marked.receive(*standard_views(PatientID="RIGHT"))
    marked.work(later=QUIET)
    (report,) = marked.results_owed()
    assert "PredecessorDocumentsSequence" not in report
    assert (report.PatientID, report.InstanceNumber) == ("RIGHT", 1)


def test_a_corrected_image_makes_all_pictures_anew(node):
    """It may have been one of the other breast: what was said of that holds no longer."""
    node.receive(*standard_views())
    node.work()
    node.deliver()
    node.now += timedelta(minutes=5)
    node.receive(mammogram("R", "MLO", number=3, ImageLaterality="L", PatientOrientation=["A", "FR"]))
    node.work(later=QUIET)
    pictures = heatmaps(node.results_owed())
    assert [picture.SeriesDescription.split(" - ")[1] for picture in pictures] == ["heatmap 2"] * 4


def test_no_report_is_dated_before_its_heatmaps(node):
    """The job of a study is often there before its last image is analysed."""
    node.receive(*standard_views())
    node.tasks.complete_studies()
    node.now += timedelta(minutes=7)
    node.work()
    results_owed = node.results_owed()
    (report,) = reports(results_owed)
    moment = (report.ContentDate, report.ContentTime)
    assert moment >= max((heatmap.ContentDate, heatmap.ContentTime) for heatmap in heatmaps(results_owed))
    assert (report.SeriesDate, report.SeriesTime) == moment


def test_a_corrected_name_withdraws_what_is_unsent_and_makes_new_objects(node):
    node.receive(*standard_views(patient_name="Wrong^Jane"))
    node.work()
    before = {instance.SOPInstanceUID for instance in node.results_owed()}
    node.receive(*standard_views(patient_name="Right^Jane"))
    assert node.results_owed() == []
    node.work(later=QUIET)
    after = node.results_owed()
    assert {str(instance.PatientName) for instance in after} == {"Right^Jane"}
    assert before.isdisjoint({instance.SOPInstanceUID for instance in after})
    assert len(after) == 6


def test_a_merged_study_is_reported_under_its_new_uid_and_the_old_one_is_withdrawn(node):
    node.receive(*standard_views())
    node.work()
    moved = standard_views()
    for image in moved:
        image.StudyInstanceUID = "1.2.3.4"
    node.receive(*moved)
    node.work(later=QUIET)
    assert {instance.StudyInstanceUID for instance in node.results_owed()} == {"1.2.3.4"}


def test_the_same_study_again_makes_nothing_new(node):
    node.receive(*standard_views())
    node.work()
    node.deliver()
    node.receive(*standard_views())
    assert node.work(later=QUIET) == []
    assert node.results_owed() == []


def test_a_second_sender_gets_the_results_too(tmp_path):
    peers = tuple(Peer(ae_title=title, host="127.0.0.1", port=104) for title in ("PACS", "MODALITY"))
    node = InProcessNode(tmp_path, peers=peers)
    node.receive(*standard_views())
    node.work()
    assert node.results_owed("MODALITY") == []
    node.receive(standard_views()[0], calling_ae="MODALITY")
    assert node.work(later=QUIET) == []
    assert {instance.SOPInstanceUID for instance in node.results_owed("MODALITY")} == {
        instance.SOPInstanceUID for instance in node.results_owed()
    }
    node.close()


def test_results_to_sends_them_elsewhere(tmp_path):
    peers = (
        Peer(ae_title="MODALITY", results_to=("PACS", "RESEARCH")),
        Peer(ae_title="PACS", host="127.0.0.1", port=104),
        Peer(ae_title="RESEARCH", host="127.0.0.1", port=105),
    )
    node = InProcessNode(tmp_path, peers=peers)
    node.receive(*standard_views(), calling_ae="MODALITY")
    node.work()
    assert node.results_owed("MODALITY") == []
    assert len(node.results_owed("PACS")) == len(node.results_owed("RESEARCH")) == 6
    node.close()


def test_for_processing_image_with_its_twin_is_not_mentioned(node):
    twin = mammogram("R", "CC", number=9, for_processing=True)
    twin.AcquisitionTime = standard_views()[0].AcquisitionTime
    node.receive(*standard_views(), twin)
    node.work(later=QUIET)
    (report,) = reports(node.results_owed())
    assert report.CompletionFlag == "COMPLETE"
    assert str(twin.SOPInstanceUID) not in text_of(report)


def test_a_study_in_combo_mode_is_complete_without_its_other_renderings(node):
    """Synthetic views and tomosynthesis show again what the four mammograms show."""
    synthetic = {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]}
    again = [
        mammogram(side, view, number=number, **attributes)
        for number, (side, view, attributes) in enumerate(
            [
                ("R", "CC", synthetic),
                ("L", "MLO", synthetic),
                ("R", "CC", {"sop_class": BreastTomosynthesisImageStorage}),
            ],
            10,
        )
    ]
    node.receive(*standard_views(), *again)
    assert JobKind.REPORT in node.work()  # at once: no view is missing
    results_owed = node.results_owed()
    (report,) = reports(results_owed)
    assert report.CompletionFlag == "COMPLETE"
    assert len(heatmaps(results_owed)) == 4  # and no page about images without a result
    assert not any(str(image.SOPInstanceUID) in text_of(report) for image in again)


def test_for_processing_twin_that_comes_late_makes_no_second_report(node):
    node.receive(*standard_views())
    node.work()
    node.deliver()
    twin = mammogram("R", "CC", number=9, for_processing=True)
    twin.AcquisitionTime = standard_views()[0].AcquisitionTime
    node.receive(twin)
    assert node.work(later=QUIET) == [JobKind.ANALYSE, JobKind.REPORT]
    assert node.results_owed() == []
    node.receive(mammogram("R", "CC", number=5))
    node.work(later=QUIET)
    (second,) = reports(node.results_owed())
    assert second.InstanceNumber == 2


def results_on_disk(node):
    return {path.name: path.read_bytes() for path in (node.archive.data_dir / "results").rglob("*.dcm")}


def kept_files(node):
    return [path for path in node.archive.data_dir.rglob("*-*.*") if path.is_file()]


def answer(node, *images):
    node.receive(*images)
    node.work(later=QUIET)
    return node.deliver()


def test_forgotten_study_that_comes_again_gets_the_same_bytes(node):
    answer(node, *standard_views())
    answer(node, mammogram("R", "CC", number=5))
    before = results_on_disk(node)
    node.now += timedelta(days=30)
    node.tasks.remove_old_studies()
    assert kept_files(node) == []
    answer(node, *standard_views(), mammogram("R", "CC", number=5))
    again = results_on_disk(node)
    assert len(again) == 7  # the last report, which replaces the first, its summary, and five heatmaps
    assert again.items() <= before.items()


def test_forgotten_study_that_comes_again_with_more_replaces_the_report_that_peers_have(node):
    (first,) = reports(answer(node, *standard_views()))
    node.now += timedelta(days=30)
    node.tasks.remove_old_studies()
    (second,) = reports(answer(node, *standard_views(), mammogram("R", "CC", number=5)))
    reference = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.InstanceNumber == 2


def test_name_corrected_and_corrected_back_makes_the_first_objects_again(node):
    before = {instance.SOPInstanceUID: instance for instance in answer(node, *standard_views())}
    node.receive(*standard_views(patient_name="Wrong^Jane"))
    node.work()
    node.receive(*standard_views())
    node.work(later=QUIET)
    assert node.results_owed() == []
    with node.database.read() as tx:
        last = last_report(tx, standard_views()[0].StudyInstanceUID)
    assert last.current
    assert last.sr_sop_instance_uid in before


def test_files_of_forgotten_studies_go_after_the_commit_or_at_the_next_start(node, monkeypatch):
    answer(node, *standard_views())
    node.now += timedelta(days=30)
    file_number = len(kept_files(node))
    with monkeypatch.context() as killed:
        killed.setattr(retention, "unneeded", lambda *_: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            node.tasks.remove_old_studies()
    assert len(kept_files(node)) == file_number
    for path in kept_files(node):
        os.utime(path, (START.timestamp(), START.timestamp()))  # by the hand clock
    assert node.sweep() == (file_number, 0)


def test_header_that_was_replaced_is_no_unclaimed_image(node, monkeypatch):
    node.receive(mammogram("R", "CC", patient_name="Wrong^Jane"))
    monkeypatch.setattr(node.archive, "remove", lambda _: None)  # killed before that
    wrong = kept_files(node)
    node.now += timedelta(minutes=1)
    node.receive(mammogram("R", "CC", patient_name="Right^Jane"))
    for file in wrong:
        os.utime(file, (START.timestamp(), START.timestamp()))
    assert node.sweep() == (2, 0)


def test_image_that_comes_in_while_its_study_is_removed_keeps_its_file(node):
    answer(node, *standard_views())
    node.now += timedelta(days=30)
    arriving = standard_views()

    class Busy:
        """The database; the images come in just after its first transaction, which has removed the rows."""

        @contextmanager
        def write(self):
            with node.database.write() as tx:
                yield tx
            while arriving:
                node.receive(arriving.pop())

    replace(node.tasks, database=Busy()).remove_old_studies()
    assert len(list((node.archive.data_dir / "instances").rglob("*.dcm"))) == 4
    assert node.work() == [JobKind.ANALYSE] * 4


def test_delivered_images_then_studies_go_early_where_the_disk_is_nearly_full(node, monkeypatch):
    answer(node, *standard_views())
    answer(node, *standard_views(study="2"))
    node.receive(*standard_views(study="3"))
    free = [10**12]

    def with_pixels():
        files = (node.archive.data_dir / "instances").rglob("*.dcm")
        return sum(path.stat().st_size > 500_000 for path in files)

    assert with_pixels() == 12
    monkeypatch.setattr(node.archive, "free_bytes", lambda: free[0])
    node.tasks.free_disk_space()
    assert len(node.known_studies()) == 3
    free[0] = round(node.settings.node.disk_reserve_mb * 1_000_000 * 1.5) - 1
    node.tasks.free_disk_space()
    assert len(node.known_studies()) == 3
    assert with_pixels() == 8
    free[0] = 0
    node.tasks.free_disk_space()
    assert node.known_studies() == {str(standard_views(study="3")[0].StudyInstanceUID)}


def test_for_processing_image_alone_is_reported_as_not_attempted(node):
    node.receive(mammogram("R", "CC", for_processing=True))
    node.work(later=QUIET)
    results_owed = node.results_owed()
    (report,) = reports(results_owed)
    assert report.CompletionFlag == "PARTIAL"
    assert "Not Attempted" in text_of(report)
    assert len(heatmaps(results_owed)) == 1  # the notice page


def test_a_bug_in_one_image_is_parked_and_the_study_reported_with_it_as_failed(tmp_path):
    class Clumsy(ScriptedAnalyst):
        def analyse(self, path, image):
            if self.remaining:
                self.remaining -= 1
                raise ZeroDivisionError
            return super().analyse(path, image)

        remaining = 1

    node = InProcessNode(tmp_path, analyst=Clumsy())
    node.receive(*standard_views())
    node.work()
    (report,) = reports(node.results_owed())
    assert "the analysis stopped unexpectedly" in text_of(report)
    assert report.CompletionFlagDescription == "1 of 4 images not analysed"
    node.close()


def test_same_study_into_two_empty_data_directories_gives_identical_bytes(tmp_path):
    files = []
    for name in ("one", "two"):
        node = InProcessNode(tmp_path / name)
        order = standard_views() if name == "one" else standard_views()[::-1]
        node.receive(*order)
        node.work()
        results = node.archive.data_dir / "results"
        files.append({path.name: path.read_bytes() for path in results.rglob("*.dcm")})
        node.close()
    assert len(files[0]) == 6
    assert files[0] == files[1]
