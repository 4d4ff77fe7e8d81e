"""Statuses and rejections of the node, with what each means here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scp import retry_policy
from scp.configuration.sections import Delivery
from scp.network import status
from scp.operating.conformance.table import table
from scp.receiving import admission

_STORE: Final = (
    (status.SUCCESS, "the image is on disk and in the database; or it is a result of this product"),
    (status.SUCCESS, "with `[node] foreign` = drop: it is no mammogram, and nothing of it is kept"),
    (status.OUT_OF_RESOURCES, "disk reserve reached, or storage failed for the moment: send again"),
    (status.DOES_NOT_MATCH_SOP_CLASS, "an attribute is missing without which nothing can be filed"),
    (status.DOES_NOT_MATCH_SOP_CLASS, "with `[node] foreign` = refuse: it is no mammogram"),
    (status.CANNOT_UNDERSTAND, "no data set, or its UID is kept with other pixels or another patient"),
    (status.INVALID_SOP_INSTANCE, "the request names no SOP Instance UID"),
    (status.PROCESSING_FAILURE, "a fault of the node"),
)
_ACTION: Final = (
    (status.SUCCESS, "the request is written down; the report follows"),
    (status.NO_SUCH_ACTION, "Action Type ID is not 1"),
    (status.NO_SUCH_ARGUMENT, "Transaction UID, or an item or its UIDs, is missing"),
    (status.INVALID_ARGUMENT, "a UID is none, or there are no items or too many"),
    (status.PROCESSING_FAILURE, "storage failed"),
)
_FAILURES: Final = (
    (status.NO_SUCH_INSTANCE, "not kept (any more)"),
    (status.CLASS_INSTANCE_CONFLICT, "kept under another SOP class"),
    (status.SOP_CLASS_NOT_SUPPORTED, "tomosynthesis, whose header alone is kept, or what is no mammogram"),
)
_REPORT: Final = (
    (status.SUCCESS, "what the report says is in the database"),
    (status.NO_SUCH_EVENT_TYPE, "Event Type ID is neither 1 nor 2"),
    (status.NO_SUCH_ARGUMENT, "Transaction UID or an item's UID is missing"),
    (status.INVALID_ARGUMENT, "it answers no request of this node"),
    (status.PROCESSING_FAILURE, "storage failed"),
)
_REJECTIONS: Final = (
    (admission.WRONG_CALLED_TITLE, "another called AE title"),
    (admission.UNKNOWN_CALLER, "AE title, address or certificate is not configured, or TLS is missing"),
    (admission.LIMIT_EXCEEDED, "too many associations, for now"),
)


def tables(delivery: Delivery) -> dict[str, list[str]]:
    """Return the tables by their names in the statement."""
    first, longest = delivery.first_retry_seconds, delivery.longest_retry_seconds
    sender = (
        ("0x0000, 0xBxxx", "delivered"),
        ("0xA7xx, 0x0110", f"again after {first:g} s, doubling up to {longest:g} s"),
        ("0x0122, 0x0124", "parked at once, for a person"),
        ("any other", f"again; parked after {retry_policy.OBJECT_TRIES} answers"),
    )
    return {
        "store_statuses": _statuses(_STORE),
        "action_statuses": _statuses(_ACTION),
        "failure_reasons": _statuses(_FAILURES),
        "report_statuses": _statuses(_REPORT),
        "rejections": table(
            ("", "because"), [("/".join(map(str, code)), words) for code, words in _REJECTIONS]
        ),
        "sender": table(("status of C-STORE", "what the node does"), sender),
    }


def _statuses(rows: Iterable[tuple[int, str]]) -> list[str]:
    return table(("status", "meaning"), [(f"0x{code:04X}", words) for code, words in rows])
