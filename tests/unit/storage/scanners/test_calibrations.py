"""The latest calibration of a scanner and a network is in force; it comes back as it was accepted."""

from dataclasses import replace

from storage.scanners import calibrations
from storage.scanners.calibrations import Calibration
from storage.scanners.scores import Network, Scanner
from tests.unit.storage.making import NETWORK, SCANNER, START

ACCEPTED = Calibration(
    scanner=SCANNER,
    network=NETWORK,
    threshold=0.1 + 0.2,
    flag_rate=0.1,
    population=(0.1, 1 / 3, 1.0),
    accepted_at=START,
    accepted_by="radiology",
)


def accept(database, calibration):
    with database.write() as tx:
        calibrations.accept(tx, calibration)


def in_force(database, scanner=SCANNER, network=NETWORK):
    with database.read() as tx:
        return calibrations.in_force(tx, scanner, network)


def test_it_comes_back_to_the_last_digit(database):
    assert in_force(database) is None
    accept(database, ACCEPTED)
    assert in_force(database) == ACCEPTED
    assert ACCEPTED.examinations == 3


def test_the_latest_counts_for_its_scanner_and_network_alone(database):
    accept(database, ACCEPTED)
    accept(database, replace(ACCEPTED, threshold=0.6))
    assert in_force(database).threshold == 0.6
    assert in_force(database, scanner=Scanner(manufacturer="ACME", model="")) is None
    assert in_force(database, network=Network(name="net", version="2.0")) is None
