"""What the failures of an S3-compatible server mean: to be mended by an administrator, or again, later."""

from __future__ import annotations

import errno
from typing import Final

from storage.errors import BucketError, FilesUnavailable

ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
"""Codes of an answer for one object; HEAD has no body and so none but its status."""
_REFUSALS: Final = {
    "NoSuchBucket": "there is no such bucket: make it, or correct [files] url",
    "404": "there is no such bucket: make it, or correct [files] url",
    "InvalidAccessKeyId": "the server does not know this access key: correct [files] credentials",
    "SignatureDoesNotMatch": "the secret key is wrong: correct [files] credentials",
    "AccessDenied": "this key may not use the bucket: let it list, read, write and delete there",
    "NoCredentialsError": "there are no credentials: give [files] credentials",
    "SSLError": "the server's certificate is not to be trusted: correct [files] endpoint or authorities",
    "403": "this key may not use the bucket: let it list, read, write and delete there",
    "RecursionError": "the server sends requests elsewhere: correct [files] region or endpoint",
    "PermanentRedirect": "the server sends requests elsewhere: correct [files] region or endpoint",
    "301": "the server sends requests elsewhere: correct [files] region or endpoint",
    "307": "the server sends requests elsewhere: correct [files] region or endpoint",
}
"""What an administrator has to mend, by the code of the answer or what boto3 raises."""
DENIED: Final = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
"""Codes of an answer to credentials that are no more, among others."""


def failure(url: str, reason: str, *, of_bucket: bool) -> Exception:
    """Return what a request about the bucket at ``url`` raises that failed for ``reason``.

    BucketError where the request asked whether the bucket can be used (``of_bucket``) and somebody must mend
    something, else FilesUnavailable.
    """
    if of_bucket and reason in _REFUSALS:
        return BucketError(f"{url}: {_REFUSALS[reason]}")
    return FilesUnavailable(errno.EIO, f"{url} cannot be used now ({reason}): see its server")
