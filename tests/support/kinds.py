"""The kinds of result objects that the node sends, as the database names them."""

from enum import StrEnum


class ResultKind(StrEnum):
    """Of `inference.results.kinds.KINDS`, for tests that build no objects."""

    SR = "SR"
    SUMMARY = "SUMMARY"
    SC = "SC"
    NOTICE = "NOTICE"
