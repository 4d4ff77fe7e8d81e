"""What a button has brought back, told by the page that follows it: in its address, so without any script."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from scp.operating.retry import BroughtBack

NUMBER_LENGTH: Final = 6
_WORDS: Final = {
    "jobs": ("1 job starts over", "{} jobs start over"),
    "deliveries": ("1 result will be sent again", "{} results will be sent again"),
    "commitments": ("1 sent result is asked about again", "{} sent results are asked about again"),
}


def address(page: str, back: BroughtBack) -> str:
    """Return where ``page`` says what was brought back."""
    return f"{page}?{urlencode(asdict(back))}"


def sentence(query: QueryParams) -> str | None:
    """Return the sentence for the address that `address` has made, None for any other."""
    if not any(name in query for name in _WORDS):
        return None
    numbers = {name: number(query.get(name, "")) for name in _WORDS}
    parts = [
        (singular if numbers[name] == 1 else plural).format(numbers[name])
        for name, (singular, plural) in _WORDS.items()
        if numbers[name]
    ]
    if not parts:
        return "Nothing here was given up, and nothing waits to be tried again."
    return ", ".join(parts) + "."


def number(text: str) -> int:
    """Return the number in an address, 0 where there is none."""
    return int(text) if text.isdecimal() and len(text) <= NUMBER_LENGTH else 0
