"""kill -9 of a process that removes pixels: at each step what is kept and what the rows name stay in step."""

import multiprocessing
import os
import signal
from datetime import timedelta

from scp.configuration.sections import Retention
from scp.roles import leftovers
from storage.files.folder import FolderArchive, unclaimed
from storage.queue import arrivals
from storage.upkeep import retention
from tests.support.in_process import START, InProcessNode
from tests.support.mammograms import mammogram, standard_views

LATER = START + timedelta(days=4)
STEPS = {
    "the header is on the disk, no row names it": (FolderArchive, "keep_bytes", True),
    "a row is about to name it": (retention, "replace_file", False),
    "the row names it, the image is still there": (FolderArchive, "remove", False),
}
"""Where the process is killed: whose function, which, and whether the call itself is finished before."""


def opened(folder):
    node = InProcessNode(folder)
    node.now = LATER
    node.settings.__dict__["retention"] = Retention(image_days=3, days=14)
    return node


def remove_and_be_killed(folder, words):
    """Remove pixels and be killed at this step of the second image: the first went well."""
    place, name, after = STEPS[words]
    function, calls = getattr(place, name), []

    def killed(*arguments, **named):
        calls.append(name)
        result = function(*arguments, **named) if after or len(calls) == 1 else None
        if len(calls) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, killed)
    opened(folder).tasks.remove_old_studies()


def test_files_and_rows_stay_in_step_and_the_study_can_still_be_reported(tmp_path):
    node = InProcessNode(tmp_path)
    node.receive(*standard_views())
    node.work(later=timedelta(seconds=181))
    node.deliver()
    node.close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.in_process"])  # imported once, not for each process
    for words in STEPS:
        process = context.Process(target=remove_and_be_killed, args=(tmp_path, words))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, words
        node = opened(tmp_path)
        check_in_step(node, words)
        node.close()
    node = opened(tmp_path)
    node.tasks.remove_old_studies()
    assert list((node.archive.data_dir / "instances").rglob("*.dcm")) == []
    node.receive(mammogram("R", "CC", number=5))
    node.work(later=timedelta(seconds=181))
    (report,) = [result for result in node.deliver() if result.Modality == "SR"]
    referenced = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in referenced) == 5
    node.close()


def check_in_step(node, words):
    """Start as a node does after a kill; every file has a row then, and every row its file."""
    files = [path for path in node.archive.data_dir.rglob("*-*.*") if path.is_file()]
    for path in files:
        os.utime(path, (START.timestamp(), START.timestamp()))  # by the hand clock
    node.tasks.recover()
    assert leftovers.sweep(node.tasks, lambda: False, is_left=lambda _: True)
    with node.database.read() as tx:
        named_files = {node.archive.path(name) for name in retention.referenced_files(tx)}
        assert len(arrivals.images(tx, standard_views()[0].StudyInstanceUID)) == 4, words
    files = {path for path in node.archive.data_dir.rglob("*-*.*") if path.is_file()}
    assert files == named_files, words
    assert unclaimed(node.archive.data_dir) == 0, words
