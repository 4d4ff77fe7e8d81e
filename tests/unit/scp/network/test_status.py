import pytest

from scp.network import status


@pytest.mark.parametrize("code", [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007])
def test_success_and_warnings_mean_kept(code):
    assert status.delivered(code)


@pytest.mark.parametrize("code", [0x0110, 0x0117, 0x0122, 0x0124, 0xA700, 0xA900, 0xC000, 0xCFFF, 0xFE00])
def test_failures_mean_not_kept(code):
    assert not status.delivered(code)


def test_no_refusal_of_ours_has_a_status_that_means_kept():
    refusals = [status.OutOfResources, status.Foreign, status.Unreadable, status.OtherPixels, status.Refusal]
    assert not any(status.delivered(refusal.status) for refusal in refusals)


@pytest.mark.parametrize(
    ("code", "again"), [(0xA700, True), (0xA7FF, True), (0x0110, True), (0xA900, False), (0x0122, False)]
)
def test_lack_of_resources_is_worth_another_try(code, again):
    assert status.worth_another_try(code) is again


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xA702, "0xA702 (out of resources)"),
        (0xA900, "0xA900 (the data set does not match the SOP class)"),
        (0xC1FF, "0xC1FF (cannot understand)"),
        (0x0122, "0x0122 (SOP class not supported)"),
        (0x0124, "0x0124 (not authorized)"),
        (0x0110, "0x0110 (processing failure)"),
        (0x0111, "0x0111 (duplicate SOP instance)"),
        (0x0212, "0x0212 (mistyped argument)"),
        (0xB007, "0xB007 (kept, though the data set does not match the SOP class)"),
        (0xB123, "0xB123 (kept with a warning)"),
        (0x0000, "0x0000"),
        (0x4321, "0x4321"),
    ],
)
def test_statuses_are_told_in_words(code, words):
    assert status.in_words(code) == words


def test_only_what_means_kept_is_called_kept():
    called = {code for code in range(0x10000) if "kept" in status.in_words(code)}
    assert called == status.WARNINGS


@pytest.mark.parametrize(
    ("code", "final"), [(0x0122, True), (0x0124, True), (0xC000, False), (0xA700, False)]
)
def test_what_asking_again_cannot_change_is_final(code, final):
    assert status.final(code) is final
