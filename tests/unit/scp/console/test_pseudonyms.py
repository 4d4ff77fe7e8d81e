"""What patients are called on the pages."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.reading.digests import digest_of_patient_id
from scp.console.pseudonyms import Pseudonyms

OF_THIS_KEY = Pseudonyms(b"k" * 32)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(DIGESTS)
def test_a_pseudonym_leads_back_to_the_digests_that_have_it(digest):
    pseudonym = OF_THIS_KEY.of(digest)
    assert re.fullmatch("P-[A-Z2-7]{6}", pseudonym)
    first, last = OF_THIS_KEY.digests(pseudonym.lower())
    assert first <= digest <= last
    assert OF_THIS_KEY.of(last) == OF_THIS_KEY.of(first.ljust(64, "0")) == pseudonym


def test_another_key_gives_other_pseudonyms():
    digests = [digest_of_patient_id(f"SYN{number}") for number in range(100)]
    by_key = [{Pseudonyms(key).of(digest) for digest in digests} for key in (b"a" * 32, b"b" * 32)]
    assert [len(pseudonyms) for pseudonyms in by_key] == [100, 100]
    assert by_key[0].isdisjoint(by_key[1])


@pytest.mark.parametrize(
    "words", ["", "P-", "P-ABC", "P-ABCDEFG", "P-ABC1EF", "ABCDEF", "P-ÄBCDEF", "1.2.840"]
)
def test_what_is_no_pseudonym_stands_for_nobody(words):
    assert OF_THIS_KEY.digests(words) is None
