"""Who may use the console: users, their failures to sign in, and what stands for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.database import columns, schema

_users = schema.users
_credentials = schema.credentials


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """One user."""

    name: str
    role: str
    password_hash: str
    created_at: datetime
    failures: int
    """Wrong passwords in a row."""
    locked_until: datetime | None
    disabled: bool
    """Whether nothing stands for it, for now."""
    subject: str | None
    """Digest of who it is at an OpenID provider; None where it has a password here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What stands for a user in a program."""

    digest: str
    user_name: str
    label: str
    created_at: datetime
    last_at: datetime


def add(
    tx: Connection, name: str, *, role: str, password_hash: str, now: datetime, subject: str | None = None
) -> None:
    """Add a user. Raises Conflict where there is one of that name."""
    tx.execute(
        insert(_users).values(
            name=name,
            role=role,
            password_hash=password_hash,
            created_at=now,
            failures=0,
            disabled=False,
            subject=subject,
        )
    )


def remove(tx: Connection, name: str) -> bool:
    """Remove a user with all that stands for it; tell whether there was one."""
    tx.execute(delete(_credentials).where(_credentials.c.user_name == name))
    return tx.execute(delete(_users).where(_users.c.name == name)).rowcount == 1


def number(tx: Connection) -> int:
    """Return how many users there are."""
    return int(tx.execute(select(func.count()).select_from(_users)).scalar_one())


def every(tx: Connection) -> list[User]:
    """Return all users, by name."""
    return [User(**columns.fields(row)) for row in tx.execute(select(_users).order_by(_users.c.name))]


def of_subject(tx: Connection, subject: str) -> User | None:
    """Return the user whom an OpenID provider calls so."""
    row = tx.execute(select(_users).where(_users.c.subject == subject)).one_or_none()
    return None if row is None else User(**columns.fields(row))


def set_role(tx: Connection, name: str, role: str) -> None:
    """Let the user do what ``role`` may."""
    tx.execute(update(_users).where(_users.c.name == name).values(role=role))


def set_password(tx: Connection, name: str, password_hash: str) -> None:
    """Give the user another password, and end what it has open in browsers."""
    tx.execute(update(_users).where(_users.c.name == name).values(password_hash=password_hash))
    _end_browsers(tx, name)


def set_disabled(tx: Connection, name: str, *, disabled: bool) -> None:
    """Let nothing stand for the user, or its tokens and password again."""
    tx.execute(update(_users).where(_users.c.name == name).values(disabled=disabled))
    if disabled:
        _end_browsers(tx, name)


def tokens(tx: Connection) -> list[Token]:
    """Return the tokens of all users, the oldest first."""
    fields = [_credentials.c[name] for name in ("digest", "user_name", "label", "created_at", "last_at")]
    rows = tx.execute(
        select(*fields).where(_credentials.c.label.is_not(None)).order_by(_credentials.c.created_at)
    )
    return [Token(**columns.fields(row)) for row in rows]


def find(tx: Connection, name: str) -> User | None:
    """Return the user of that name."""
    row = tx.execute(select(_users).where(_users.c.name == name)).one_or_none()
    return None if row is None else User(**columns.fields(row))


def failed(tx: Connection, name: str, *, most: int, locked_until: datetime) -> bool:
    """Count a wrong password; from ``most`` in a row on lock the user. Tell whether it is locked now."""
    tx.execute(update(_users).where(_users.c.name == name).values(failures=_users.c.failures + 1))
    user = find(tx, name)
    if user is None or user.failures < most:
        return False
    tx.execute(update(_users).where(_users.c.name == name).values(failures=0, locked_until=locked_until))
    return True


def succeeded(tx: Connection, name: str) -> None:
    """Forget the wrong passwords."""
    tx.execute(update(_users).where(_users.c.name == name).values(failures=0, locked_until=None))


def grant(tx: Connection, digest: str, name: str, *, label: str | None, now: datetime) -> None:
    """Let what has this digest stand for the user: a token with its label, or a browser."""
    tx.execute(
        insert(_credentials).values(digest=digest, user_name=name, label=label, created_at=now, last_at=now)
    )


def revoke(tx: Connection, digest: str) -> None:
    """Let what has this digest stand for nobody."""
    tx.execute(delete(_credentials).where(_credentials.c.digest == digest))


def revoke_token(tx: Connection, name: str, digest: str) -> None:
    """Let that token of the user stand for nobody."""
    tx.execute(
        delete(_credentials).where(
            _credentials.c.digest == digest,
            _credentials.c.user_name == name,
            _credentials.c.label.is_not(None),
        )
    )


def of_browser(
    tx: Connection, digest: str, *, now: datetime, idle: timedelta, whole: timedelta
) -> User | None:
    """Return for whom the secret of a browser stands, unless it was idle or signed in for too long."""
    return _standing(
        tx,
        digest,
        _credentials.c.label.is_(None),
        _credentials.c.last_at > now - idle,
        _credentials.c.created_at > now - whole,
    )


def of_token(tx: Connection, digest: str) -> User | None:
    """Return for whom a token stands."""
    return _standing(tx, digest, _credentials.c.label.is_not(None))


def touch(tx: Connection, digest: str, *, now: datetime, oldest: timedelta) -> None:
    """Note that a credential was used just now; forget the browsers that signed in too long ago."""
    tx.execute(update(_credentials).where(_credentials.c.digest == digest).values(last_at=now))
    tx.execute(
        delete(_credentials).where(_credentials.c.label.is_(None), _credentials.c.created_at <= now - oldest)
    )


def last_used(tx: Connection, digest: str) -> datetime | None:
    """Return when the credential was last noted as used."""
    at: datetime | None = tx.execute(
        select(_credentials.c.last_at).where(_credentials.c.digest == digest)
    ).scalar_one_or_none()
    return at


def _end_browsers(tx: Connection, name: str) -> None:
    tx.execute(delete(_credentials).where(_credentials.c.user_name == name, _credentials.c.label.is_(None)))


def _standing(tx: Connection, digest: str, *conditions: object) -> User | None:
    row = tx.execute(
        select(_users)
        .join(_credentials, _credentials.c.user_name == _users.c.name)
        .where(_credentials.c.digest == digest, _users.c.disabled.is_(False), *conditions)  # type: ignore[arg-type]
    ).one_or_none()
    return None if row is None else User(**columns.fields(row))
