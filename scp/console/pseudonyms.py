"""What patients are called on the pages, and which digests of Patient IDs a pseudonym stands for.

A pseudonym is 30 bits of the digest, permuted with a key: so an index of digests finds the patient again,
however many there are. The permutation is a Feistel network with HMAC in each round, as in NIST SP 800-38G.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode
from typing import Final

PREFIX: Final = "P-"
_LENGTH: Final = 6
"""Letters of base 32 after the prefix, 5 bits in each."""
_UNUSED: Final = 10
"""Bits that five bytes, eight letters, have beyond that."""
_HALF: Final = 15
_MASK: Final = (1 << _HALF) - 1
_ROUNDS: Final = 10
"""As in FF1 there."""
_SPARE: Final = 2
"""Bits of eight hexadecimal digits that a pseudonym does not say."""
_FIRST_DIGITS: Final = 8
_DIGEST_DIGITS: Final = 64


class Pseudonyms:
    """Pseudonyms of one installation: without its ``key`` none leads to a Patient ID, nor the other way."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, patient_digest: str) -> str:
        """Return what the patient with this digest (64 hexadecimal digits) is called."""
        number = int(patient_digest[:_FIRST_DIGITS], 16) >> _SPARE
        left, right = number >> _HALF, number & _MASK
        for turn in range(_ROUNDS):
            left, right = right, left ^ self._mixed(turn, right)
        return PREFIX + b32encode(((left << _HALF | right) << _UNUSED).to_bytes(5)).decode()[:_LENGTH]

    def digests(self, pseudonym: str) -> tuple[str, str] | None:
        """Return the first and the last digest of all that are called so; None of what is no pseudonym."""
        letters = pseudonym.upper().removeprefix(PREFIX)
        if len(letters) != _LENGTH or not pseudonym.upper().startswith(PREFIX):
            return None
        try:
            number = int.from_bytes(b32decode(letters.ljust(8, "A"))) >> _UNUSED
        except ValueError:
            return None
        left, right = number >> _HALF, number & _MASK
        for turn in reversed(range(_ROUNDS)):
            left, right = right ^ self._mixed(turn, left), left
        first = (left << _HALF | right) << _SPARE
        last = first | (1 << _SPARE) - 1
        return f"{first:08x}", f"{last:08x}".ljust(_DIGEST_DIGITS, "f")

    def _mixed(self, turn: int, half: int) -> int:
        """Return 15 bits that only who has the key knows of a half."""
        digest = hmac.digest(self._key, bytes([turn]) + half.to_bytes(2), "sha256")
        return int.from_bytes(digest[:2]) & _MASK
