"""The part of ``check`` that looks at the files of ``[tls]``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from scp.configuration.tls import TLS
from scp.network import tls_files
from scp.network.tls import FilesError
from scp.network.tls_files import SOON, Certificate
from scp.operating.checking.outcomes import Check, failed, note, ok


def files(settings: TLS, now: datetime) -> Iterator[Check]:
    """Look at certificate, key and authorities; at nothing where there is no TLS."""
    if settings.certificate is None or settings.key is None:
        return
    try:
        certificate = tls_files.own(settings)
        authorities = tls_files.authorities(settings)
    except (FilesError, OSError) as error:
        yield failed("tls certificate", str(error))
        return
    yield _validity("tls certificate", "this node's certificate", certificate, now)
    mode = tls_files.exposed(settings.key)
    if mode is None:
        yield ok("tls key", f"{settings.key}: belongs to the certificate, closed to others")
    else:
        yield failed(
            "tls key",
            f"{settings.key} has mode {mode}, others can read or change it: chmod 600 {settings.key}",
        )
    yield from _revocations(settings)
    for authority in authorities:
        yield _validity("tls authority", f"the authority {authority.name!r}", authority, now)


def _revocations(settings: TLS) -> Iterator[Check]:
    subject = "tls revocation lists"
    if settings.revocation_lists is None:
        return
    if (problem := tls_files.unlisted(settings)) is None:
        yield ok(subject, f"{settings.revocation_lists}: in force")
    else:
        yield failed(subject, f"this node's certificate, tried on {settings.revocation_lists}: {problem}")


def _validity(subject: str, words: str, certificate: Certificate, now: datetime) -> Check:
    until = f"{certificate.expires:%Y-%m-%d}"
    if certificate.expires <= now:
        return failed(subject, f"{words} has expired on {until}: renew it")
    if certificate.expires - now < SOON:
        days = (certificate.expires - now).days
        return note(subject, f"{words} expires in {days} days, on {until}: renew it")
    return ok(subject, f"{words} is valid until {until}")
