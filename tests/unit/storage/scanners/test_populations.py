"""A scanner's examinations: one a study, by its higher breast, in its latest report."""

from dataclasses import replace

import pytest

from storage.scanners import populations
from storage.scanners.scores import Network, Scanner
from tests.unit.storage.making import NETWORK, SCANNER, arrival, breast

OTHER_SCANNER = Scanner(manufacturer="ACME", model="Mammo 2000")


@pytest.fixture
def examine(hand):
    """Report a study with these breasts, a minute after the one before."""

    def do(number, *breasts):
        hand.wait(minutes=1)
        hand.answer_study(study=f"1.2.{number}", document=f"1.2.{number}.1", breasts=breasts, images=1)

    return do


def last(database, limit=10, scanner=SCANNER, network=NETWORK, **choice):
    with database.read() as tx:
        return populations.last(tx, scanner, network, limit=limit, **choice)


def test_an_examination_has_the_score_of_its_higher_breast(database, examine):
    examine(1, breast(0.2), breast(0.7, "L"))
    assert last(database) == [0.7]


def test_the_last_ones_come_latest_first_and_the_first_ones_earliest_first(hand, database, examine):
    ends = []
    for number in range(5):
        examine(number, breast(number / 10))
        ends.append(hand.now)
    assert last(database, limit=3) == [0.4, 0.3, 0.2]
    assert last(database, without="1.2.3") == [0.4, 0.2, 0.1, 0.0]
    with database.read() as tx:
        assert populations.first(tx, SCANNER, NETWORK, limit=2) == [0.0, 0.1]
        assert populations.count(tx, SCANNER, NETWORK, since=None, most=9) == 5
        assert populations.count(tx, SCANNER, NETWORK, since=None, most=4) == 4
        assert populations.count(tx, SCANNER, NETWORK, since=ends[1], most=9) == 3


def test_scanners_and_networks_are_not_mixed(database, examine):
    newer = Network(name="net", version="1.1")
    examine(1, breast(0.1), breast(0.9, "L", scanner=OTHER_SCANNER))
    examine(2, replace(breast(0.2), network=newer))
    assert last(database) == [0.1]
    assert last(database, scanner=OTHER_SCANNER) == [0.9]
    assert last(database, network=newer) == [0.2]
    with database.read() as tx:
        assert list(populations.scanners(tx).items()) == [(OTHER_SCANNER, NETWORK), (SCANNER, newer)]


def test_a_second_report_takes_the_place_of_the_first(hand, database, examine):
    examine(1, breast(0.1))
    hand.send_all()
    hand.receive(arrival(1, study="1.2.1"))
    hand.analyse_all()
    hand.wait(minutes=10)
    hand.ask_for_reports()
    hand.report(hand.claimed(), document="1.2.1.2", breasts=[breast(0.6)])
    assert last(database) == [0.6]
