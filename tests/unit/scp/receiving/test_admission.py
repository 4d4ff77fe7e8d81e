from dataclasses import replace

import pytest

from scp.configuration.settings import TLS, Node, Peer, Settings
from scp.receiving.admission import LIMIT_EXCEEDED, UNKNOWN_CALLER, WRONG_CALLED_TITLE, Door, Request


def door(*peers, **node):
    return Door(Settings(node=Node(**node), peers=peers))


class Visitor:
    """An association that lives until the test says otherwise."""

    def __init__(self):
        self.alive = True

    def is_alive(self):
        return self.alive


def request(calling="PACS", called="SECONDREAD", address="10.1.2.3"):
    return Request(calling_ae=calling, called_ae=called, address=address)


PACS = Peer(ae_title="PACS", addresses=("10.1.2.0/24", "::1"), results_to=())


def test_configured_peer_is_admitted():
    assert door(PACS).judge(request()).rejection is None


def test_stranger_is_rejected_with_the_lines_that_would_admit_it():
    verdict = door(PACS).judge(request(calling="MODALITY1"))
    assert verdict.rejection == UNKNOWN_CALLER
    assert verdict.remedy.startswith('[[peers]]\nae_title = "MODALITY1"\naddresses = ["10.1.2.3"]')


def test_known_title_from_another_address_gets_the_answer_of_a_stranger():
    verdict = door(PACS).judge(request(address="10.9.9.9"))
    assert verdict.rejection == UNKNOWN_CALLER
    assert "10.9.9.9" in verdict.reason
    assert verdict.remedy is None


@pytest.mark.parametrize("address", ["10.1.2.77", "::1", "::ffff:10.1.2.77"])
def test_addresses_may_be_networks_and_mapped_ones_count_as_what_they_are(address):
    assert door(PACS).judge(request(address=address)).rejection is None


def test_peer_without_addresses_may_call_from_anywhere():
    assert door(Peer(ae_title="PACS", results_to=())).judge(request(address="203.0.113.9")).rejection is None


def test_wrong_called_title_is_named():
    verdict = door(PACS).judge(request(called="OTHER"))
    assert verdict.rejection == WRONG_CALLED_TITLE
    assert "OTHER" in verdict.reason


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({}, "called without TLS"),
        ({"tls": True}, "showed no certificate"),
        ({"tls": True, "certificate": "b" * 64}, "showed certificate bbb"),
        ({"tls": True, "certificate": "a" * 64}, None),
    ],
)
def test_peer_bound_to_tls_and_a_certificate_is_admitted_with_both(tmp_path, shown, words):
    file = tmp_path / "any.pem"
    bound = Peer(ae_title="PACS", results_to=(), tls=True, certificate_sha256="a" * 64)
    settings = Settings(tls=TLS(certificate=file, key=file, authorities=file), peers=(bound,))
    verdict = Door(settings).judge(replace(request(), **shown))
    assert verdict.rejection == (None if words is None else UNKNOWN_CALLER)
    assert words is None or words in verdict.reason


def test_peer_without_tls_may_use_it():
    assert door(PACS).judge(replace(request(), tls=True, certificate="a" * 64)).rejection is None


def test_limits_of_the_node_and_of_one_address():
    full = door(Peer(ae_title="PACS", results_to=()), max_associations=3, max_associations_per_address=2)
    visitors = [Visitor() for _ in range(3)]
    full.admit(visitors[0], request())
    full.admit(visitors[1], request())
    assert full.judge(request()).rejection == LIMIT_EXCEEDED
    assert full.judge(request(address="10.1.2.4")).rejection is None
    full.admit(visitors[2], request(address="10.1.2.4"))
    assert full.judge(request(address="10.1.2.5")).rejection == LIMIT_EXCEEDED
    assert full.left(visitors[0])
    assert full.judge(request()).rejection is None


def test_busy_are_those_inside_and_leaving_twice_is_harmless():
    one = door(PACS)
    visitor = Visitor()
    one.admit(visitor, request())
    assert one.busy() == {"PACS"}
    assert one.left(visitor)
    assert not one.left(visitor)
    assert one.busy() == frozenset()


def test_who_died_without_a_word_is_neither_busy_nor_counted_and_is_told_once():
    one = door(PACS, max_associations=1, max_associations_per_address=1)
    visitor = Visitor()
    one.admit(visitor, request())
    visitor.alive = False
    assert one.busy() == frozenset()
    assert one.judge(request()).rejection is None
    assert one.departed() == [visitor]
    assert one.departed() == []
