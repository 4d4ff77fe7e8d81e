"""The gate of an association's own thread: who closes it knows whether the thread rests."""

from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from scp.network import contexts
from scp.network.pynetdicom_fixes.checkpoint import Checkpoint, install_checkpoint
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
    with ArchiveSCP("PACS") as pacs:
        association = associate(pacs.port, [build_context(contexts.VERIFICATION)], called="PACS")
        with closed_behind(association):
            association._kill = True  # as where its upper layer breaks
        association.join(30)
        assert not association.is_alive()
        assert association._is_paused


def test_association_that_times_out_releases_itself():
    entity = AE(ae_title="SECONDREAD")
    entity.requested_contexts = [build_context(contexts.VERIFICATION)]
    entity.network_timeout = 0.5
    with ArchiveSCP("PACS") as pacs:
        handlers = [(evt.EVT_CONN_OPEN, install_checkpoint), (evt.EVT_CONN_OPEN, release_at_timeout)]
        association = entity.associate("127.0.0.1", pacs.port, ae_title="PACS", evt_handlers=handlers)
        association.join(30)
        assert association.is_released


def release_at_timeout(event):
    event.assoc.network_timeout_response = "A-RELEASE"
