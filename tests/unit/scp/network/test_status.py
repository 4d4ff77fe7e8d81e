import pytest

from scp.network import status


@pytest.mark.parametrize("code", [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007])
def test_success_and_warnings_mean_kept(code):
    assert status.delivered(code)


@pytest.mark.parametrize("code", [0x0110, 0x0117, 0x0122, 0x0124, 0xA700, 0xA900, 0xC000, 0xCFFF, 0xFE00])
def test_failures_mean_not_kept(code):
    assert not status.delivered(code)


def test_no_refusal_of_ours_has_a_status_that_means_kept():
    refusals = [
        status.OutOfResources,
        status.Foreign,
        status.Incomplete,
        status.Unreadable,
        status.OtherPixels,
        status.Refusal,
    ]
    assert not any(status.delivered(refusal.status) for refusal in refusals)


@pytest.mark.parametrize(
    ("code", "again"), [(0xA700, True), (0xA7FF, True), (0x0110, True), (0xA900, False), (0x0122, False)]
)
def test_lack_of_resources_is_worth_another_try(code, again):
    assert status.worth_another_try(code) is again


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xA702, "0xA702 (Out of Resources)"),
        (0xA900, "0xA900 (Data Set Does Not Match SOP Class)"),
        (0xC1FF, "0xC1FF (Cannot Understand)"),
        (0x0122, "0x0122 (SOP Class Not Supported)"),
        (0x0124, "0x0124 (Not Authorised)"),
        (0x0110, "0x0110 (Processing Failure)"),
        (0x0131, "0x0131 (Duplicate Transaction UID)"),
        (0x0212, "0x0212 (Mistyped Argument)"),
        (0x0001, "0x0001 (kept: Requested Optional Attributes Are Not Supported)"),
        (0xB007, "0xB007 (kept: Data Set Does Not Match SOP Class)"),
        (0xB123, "0xB123 (kept with a warning)"),
        (0x0000, "0x0000"),
        (0x4321, "0x4321"),
    ],
)
def test_statuses_are_told_in_words(code, words):
    assert status.in_words(code) == words


def test_library_calls_kept_what_the_standard_does():
    """Each code there is: success, the general warnings (PS3.7 annex C.4), those of storage (PS3.4 B.2.3)."""
    codes = {0x0000, 0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)}
    assert {code for code in range(0x10000) if status.delivered(code)} == codes
    assert {code for code in range(0x10000) if "kept" in status.in_words(code)} == codes - {0x0000}


def test_every_status_that_had_words_still_has_them():
    known_codes = {
        *range(0xA700, 0xA800),
        *range(0xA900, 0xAA00),
        *range(0xC000, 0xD000),
        *range(0xB000, 0xC000),
    }
    known_codes |= {0x0001, 0x0105, 0x0106, 0x0107, *range(0x0110, 0x011A), *range(0x0120, 0x0125), 0x0131}
    known_codes |= {0x0210, 0x0211, 0x0212, 0x0213}
    assert {code for code in range(0x10000) if "(" in status.in_words(code)} == known_codes


@pytest.mark.parametrize(
    ("code", "final"), [(0x0122, True), (0x0124, True), (0xC000, False), (0xA700, False)]
)
def test_what_asking_again_cannot_change_is_final(code, final):
    assert status.final(code) is final
