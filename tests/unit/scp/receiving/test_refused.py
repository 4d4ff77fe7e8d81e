"""The table of refusals: every reason has its words, and every association its answer."""

from scp.receiving.admission import REJECTIONS
from storage.refused import Refused, Subject


def test_every_reason_has_its_words_and_every_association_its_answer():
    assert all(reason.words and len(reason) <= 16 for reason in Refused)
    assert set(REJECTIONS) == {reason for reason in Refused if reason.subject is Subject.ASSOCIATION}
