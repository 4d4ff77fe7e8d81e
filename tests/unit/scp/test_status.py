import pytest

from scp import status


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
