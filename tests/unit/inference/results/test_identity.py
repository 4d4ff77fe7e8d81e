from dataclasses import replace

import pytest
from pydicom.uid import UID

from inference.decision import FlagThreshold
from inference.findings import ClassKey
from inference.results.identity import IMPLEMENTATION_CLASS_UID, Maker, finding_key, run_key, uid
from tests.support import results


def test_uid_is_a_valid_uuid_derived_uid():
    derived = UID(uid("SC", source="1.2.3"))
    assert derived.is_valid
    assert derived.startswith("2.25.")
    assert len(derived) <= 44
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid


def test_uid_follows_from_kind_and_key_alone():
    assert uid("SC", a=1, b=[2, 3]) == uid("SC", b=[2, 3], a=1)
    assert uid("SC", a=1) != uid("SR", a=1)
    assert uid("SC", a=1) != uid("SC", a=2)


def test_uids_never_change_between_releases():
    assert uid("SC", source="1.2.3") == "2.25.254555853099368737187771271726075292944"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": "1.0.1"},
        {"weights_sha256": "cd" * 32},
        {"preprocessing": "other"},
        {"calibrated": True},
        {"manufacturer": "other"},
        {"meanings": {ClassKey.NORMAL: "other"}},
    ],
)
def test_run_key_tells_networks_apart(change):
    key = run_key(results.MODEL, results.RULE, results.OPTIONS)
    assert key == run_key(replace(results.MODEL), results.RULE, results.OPTIONS)
    assert key != run_key(replace(results.MODEL, **change), results.RULE, results.OPTIONS)


def test_run_key_tells_configurations_apart():
    smaller = results.with_options(sc_max_side=1024)
    assert run_key(results.MODEL, results.RULE, results.OPTIONS) != run_key(
        results.MODEL, results.RULE, smaller
    )


@pytest.mark.parametrize(
    "change",
    [
        {"setting": "sensitivity-90"},
        {"threshold": FlagThreshold(value=0.32, source="")},
        {"shares": (0.7, 0.1, 0.15, 0.05)},
    ],
)
def test_run_key_tells_rules_apart(change):
    other_rule = replace(results.RULE, **change)
    assert run_key(results.MODEL, results.RULE, results.OPTIONS) != run_key(
        results.MODEL, other_rule, results.OPTIONS
    )


def test_device_uid_outlives_an_update_but_its_results_get_new_uids():
    updated = replace(results.DEVICE, software_version="0.2.0")
    elsewhere = replace(results.DEVICE, serial_number="OTHER")
    assert updated.uid == results.DEVICE.uid != elsewhere.uid
    keys = [
        Maker(device=device, model=results.MODEL, rule=results.RULE, options=results.OPTIONS).key()
        for device in (results.DEVICE, updated, elsewhere)
    ]
    assert keys[0] != keys[1]
    assert keys[0] != keys[2]


def test_noise_beyond_four_decimals_does_not_matter():
    finding = results.analysed()
    noisy = replace(finding, scores=tuple(score + 4e-6 for score in finding.scores))
    moved = replace(finding, scores=tuple(score + 4e-4 for score in finding.scores))
    assert finding_key(finding) == finding_key(noisy) != finding_key(moved)


def test_everything_that_is_seen_is_in_the_key():
    finding = results.analysed()
    other_findings = [
        replace(finding, regions=()),
        replace(finding, regions=(results.region(201, 240),)),
        replace(finding, decision=replace(finding.decision, label=ClassKey.BENIGN)),
        replace(finding, decision=replace(finding.decision, flagged=False)),
        replace(finding, decision=replace(finding.decision, percentile=93)),
        replace(finding, decision=replace(finding.decision, threshold=FlagThreshold(value=0.3, source=""))),
    ]
    assert all(finding_key(other_rule) != finding_key(finding) for other_rule in other_findings)
    assert finding_key(results.failed("one")) != finding_key(results.failed("two"))
    assert finding_key(results.failed("one")) != finding_key(results.refused("one"))


def test_every_image_is_tracked_by_a_uid_of_its_own():
    maker = Maker(device=results.DEVICE, model=results.MODEL, rule=results.RULE, options=results.OPTIONS)
    assert maker.tracking_uid("1.2") == maker.tracking_uid("1.2")
    assert maker.tracking_uid("1.2") != maker.tracking_uid("1.3")
