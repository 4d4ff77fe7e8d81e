"""The gate of an association's own thread: who closes it knows whether the thread rests."""

from types import SimpleNamespace

from pynetdicom.presentation import build_context

from scp.network import contexts
from scp.network.pynetdicom_fixes.checkpoint import Checkpoint
from tests.support.archive_scp import ArchiveSCP
from tests.support.passed_gate import closed_behind
from tests.support.scu import associate
from tests.unit.scp.network.test_association import call


def test_thread_that_has_passed_is_not_noted_as_resting():
    with ArchiveSCP("PACS") as pacs:
        association = associate(pacs.port, [build_context(contexts.VERIFICATION)], called="PACS")
        with closed_behind(association) as noted_as_resting:
            assert not noted_as_resting, "an answer could be taken for a request"


def test_associations_that_the_node_opens_have_that_gate():
    with ArchiveSCP("PACS") as pacs:
        association = call("127.0.0.1", pacs.port, contexts.VERIFICATION)
        assert isinstance(association._reactor_checkpoint, Checkpoint)
        association.release()


def test_who_waits_for_a_thread_to_rest_goes_on_when_that_has_ended():
    association = SimpleNamespace(_kill=True, _is_paused=True)  # as the library leaves it
    Checkpoint(association).wait()
    assert association._is_paused
