from dataclasses import replace

import pytest

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.configuration.tls import TLS
from scp.receiving.admission import LIMIT_EXCEEDED, UNKNOWN_CALLER, WRONG_CALLED_TITLE, Admission, Request


def admission(*peers, **node):
    return Admission(Settings(node=Node(**node), peers=peers))


class OpenAssociation:
    """An association that lives until the test says otherwise."""

    def __init__(self):
        self.alive = True

    def is_alive(self):
        return self.alive


def request(calling="PACS", called="SECONDREAD", address="10.1.2.3"):
    return Request(calling_ae=calling, called_ae=called, address=address)


PACS = Peer(ae_title="PACS", addresses=("10.1.2.0/24", "::1"), results_to=())


def test_configured_peer_is_admitted():
    assert admission(PACS).decide(request()).rejection is None


def test_stranger_is_rejected_with_the_lines_that_would_admit_it():
    decision = admission(PACS).decide(request(calling="MODALITY1"))
    assert decision.rejection == UNKNOWN_CALLER
    assert decision.remedy.startswith('[[peers]]\nae_title = "MODALITY1"\naddresses = ["10.1.2.3"]')


def test_known_title_from_another_address_gets_the_answer_of_a_stranger():
    decision = admission(PACS).decide(request(address="10.9.9.9"))
    assert decision.rejection == UNKNOWN_CALLER
    assert "10.9.9.9" in decision.reason
    assert decision.remedy is None


@pytest.mark.parametrize("address", ["10.1.2.77", "::1", "::ffff:10.1.2.77"])
def test_addresses_may_be_networks_and_mapped_ones_count_as_what_they_are(address):
    assert admission(PACS).decide(request(address=address)).rejection is None


def test_peer_without_addresses_may_call_from_anywhere():
    assert (
        admission(Peer(ae_title="PACS", results_to=())).decide(request(address="203.0.113.9")).rejection
        is None
    )


def test_wrong_called_title_is_named():
    decision = admission(PACS).decide(request(called="OTHER"))
    assert decision.rejection == WRONG_CALLED_TITLE
    assert "OTHER" in decision.reason


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({}, "called without TLS"),
        ({"tls": True}, "showed no certificate"),
        ({"tls": True, "certificate": "b" * 64}, "showed certificate bbb"),
        ({"tls": True, "certificate": "a" * 64}, None),
    ],
)
def test_peer_bound_to_tls_and_a_certificate_is_admitted_with_both(tmp_path, certificate, words):
    file = tmp_path / "any.pem"
    bound = Peer(ae_title="PACS", results_to=(), tls=True, certificate_sha256="a" * 64)
    settings = Settings(tls=TLS(certificate=file, key=file, authorities=file), peers=(bound,))
    decision = Admission(settings).decide(replace(request(), **certificate))
    assert decision.rejection == (None if words is None else UNKNOWN_CALLER)
    assert words is None or words in decision.reason


def test_peer_without_tls_may_use_it():
    assert admission(PACS).decide(replace(request(), tls=True, certificate="a" * 64)).rejection is None


def test_limits_of_the_node_and_of_one_address():
    full = admission(Peer(ae_title="PACS", results_to=()), max_associations=3, max_associations_per_address=2)
    associations = [OpenAssociation() for _ in range(3)]
    full.admit(associations[0], request())
    full.admit(associations[1], request())
    assert full.decide(request()).rejection == LIMIT_EXCEEDED
    assert full.decide(request(address="10.1.2.4")).rejection is None
    full.admit(associations[2], request(address="10.1.2.4"))
    assert full.decide(request(address="10.1.2.5")).rejection == LIMIT_EXCEEDED
    assert full.forget(associations[0])
    assert full.decide(request()).rejection is None


def test_busy_are_those_inside_and_leaving_twice_is_harmless():
    node = admission(PACS)
    association = OpenAssociation()
    node.admit(association, request())
    assert node.calling_titles() == {"PACS"}
    assert node.forget(association)
    assert not node.forget(association)
    assert node.calling_titles() == frozenset()


def test_who_died_without_a_word_is_neither_busy_nor_counted_and_is_told_once():
    node = admission(PACS, max_associations=1, max_associations_per_address=1)
    association = OpenAssociation()
    node.admit(association, request())
    association.alive = False
    assert node.calling_titles() == frozenset()
    assert node.decide(request()).rejection is None
    assert node.forget_dead() == [association]
    assert node.forget_dead() == []


def test_check_of_the_node_itself_is_admitted_for_verification_and_its_title_from_elsewhere_is_not():
    decision = admission(PACS).decide(request(calling="SECONDREAD", address="127.0.0.1"))
    assert (decision.rejection, decision.only_verification) == (None, True)
    decision = admission(PACS).decide(request(calling="SECONDREAD"))
    assert (decision.rejection, decision.remedy) == (UNKNOWN_CALLER, None)
    assert "own AE title called from another machine" in decision.reason


def test_who_only_sends_is_offered_the_peers_that_receive():
    archive = Peer(ae_title="ARCHIVE", host="10.1.2.9", port=104)
    decision = admission(PACS, archive).decide(request(calling="MODALITY1"))
    assert decision.remedy.endswith('# results_to = ["ARCHIVE"]')
