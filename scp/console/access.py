"""Who may: passwords, sessions and tokens. Without users, whoever reaches this machine may everything.

That is allowed on loopback alone: `refusal` says why another address is not served.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from datetime import datetime, timedelta
from typing import Final

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from scp.configuration.console import Console
from scp.console.security import LOOPBACK
from scp.console.visitors import Role
from storage import users
from storage.database.engine import Database
from storage.errors import Conflict

log = structlog.get_logger(__name__)

MOST_FAILURES: Final = 5
"""Wrong passwords in a row, then the user is locked."""
LOCKED: Final = timedelta(minutes=15)
IDLE: Final = timedelta(minutes=60)
"""A browser that is silent for so long has to sign in again."""
WHOLE: Final = timedelta(hours=12)
"""A browser that signed in so long ago has to do so again."""
TOUCH: Final = timedelta(minutes=1)
"""The use of a credential is noted no more often."""
LEAST_LENGTH: Final = 12
"""Characters of a password (NIST SP 800-63B-4 asks for 15 where nothing else protects; users lock here)."""
NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
WRONG: Final = "name or password is wrong, or the user is locked for a while after too many tries"

_hasher: Final = PasswordHasher()
_one_at_a_time: Final = threading.Lock()
"""A check takes 64 MB by design: strangers must not have many at once."""
_DUMMY: Final = _hasher.hash(secrets.token_hex(16))
"""Checked for names that are nobody's, so that the time tells nothing."""


class UserError(Exception):
    """A user cannot be added or changed so; the message says why."""


class SignInError(Exception):
    """Nobody is signed in; the message says why, and no more than a stranger may know."""


def refusal(console: Console, *, user_number: int, openid: bool = False) -> str | None:
    """Return why the console may not be served so, or None."""
    open_to_others = console.host not in LOOPBACK or bool(console.names) or console.behind_proxy
    if not open_to_others:
        return None
    if not user_number and not openid:
        return (
            "[console] would let others in, and there are no users: add one with `secondread user add NAME "
            '--role admin`, or keep host = "127.0.0.1" without names and proxy'
        )
    if not console.secure:
        return (
            f"[console] host = {console.host!r} would send passwords in the clear: give certificate and key, "
            "or set behind_proxy = true where a proxy of yours ends HTTPS"
        )
    return None


def hashed(password: str) -> str:
    """Return what is kept of a password (Argon2id)."""
    return _hasher.hash(password)


def digest(secret: str) -> str:
    """Return what is kept of a secret: it is random, so one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def sign_in(database: Database, name: str, password: str, *, secret: str, now: datetime) -> None:
    """Let the browser with ``secret`` stand for the user. Raises SignInError.

    One at a time: a try that comes while another is checked meets the lock that this one may bring.
    """
    with _one_at_a_time:
        with database.read() as tx:
            user = users.find(tx, name) if NAME.fullmatch(name) else None
        locked = user is not None and (
            user.disabled or (user.locked_until is not None and user.locked_until > now)
        )
        correct = _correct(_DUMMY if user is None else user.password_hash, password)
        if user is None or locked or not correct:
            if user is not None and not locked:
                _count_failure(database, name, now)
            log.warning("sign-in refused", user=name if user is not None else "unknown")
            raise SignInError(WRONG)
        with database.write() as tx:
            users.succeeded(tx, name)
            users.grant(tx, digest(secret), name, label=None, now=now)
    log.info("signed in", user=name)


def enter(
    database: Database, name: str, *, subject: str, role: Role, secret: str, now: datetime
) -> tuple[str, str | None]:
    """Let the browser with ``secret`` stand for whom an OpenID provider vouches for.

    Return its name here, and what of it is new in words. ``subject`` is who it is there, for good; ``name``
    counts at the first time alone. Raises SignInError.
    """
    change = None
    with database.write() as tx:
        user = users.of_subject(tx, subject)
        if user is None:
            if users.find(tx, name) is not None:
                raise SignInError(
                    f"there is another user {name!r} here: an administrator has to remove it first"
                )
            users.add(tx, name, role=role.word, password_hash="", now=now, subject=subject)
            change = f"added as {role.word}"
        elif user.disabled:
            raise SignInError("this user is disabled")
        else:
            name = user.name
            if user.role != role.word:
                users.set_role(tx, name, role.word)
                change = f"role set to {role.word}"
        users.grant(tx, digest(secret), name, label=None, now=now)
    log.info("signed in", user=name, role=role.word)
    return name, change


def sign_out(database: Database, secret: str) -> None:
    """Let the browser with ``secret`` stand for nobody."""
    with database.write() as tx:
        users.revoke(tx, digest(secret))


def user_of(database: Database, *, secret: str | None, token: str | None, now: datetime) -> users.User | None:
    """Return for whom a program's token stands, or a browser's secret; None of a stranger."""
    credential = secret if token is None else token
    if credential is None:
        return None
    key = digest(credential)
    with database.read() as tx:
        user = (
            users.of_browser(tx, key, now=now, idle=IDLE, whole=WHOLE)
            if token is None
            else users.of_token(tx, key)
        )
        used = users.last_used(tx, key)
    if user is not None and used is not None and now - used > TOUCH:
        with database.write() as tx:
            users.touch(tx, key, now=now, oldest=WHOLE)
    return user


def new_token(database: Database, name: str, label: str, *, now: datetime) -> str:
    """Return a new token that stands for the user: it is shown once and kept as digest."""
    token = f"srt_{secrets.token_urlsafe(32)}"
    with database.write() as tx:
        users.grant(tx, digest(token), name, label=label, now=now)
    return token


def add_user(database: Database, name: str, *, role: str, password: str, now: datetime) -> None:
    """Add a user with a password. Raises UserError."""
    if not NAME.fullmatch(name):
        raise UserError("a name has 1 to 64 letters, digits and . _ @ -")
    checked = checked_role(role)
    password_hash = hashed(checked_password(password))
    try:
        with database.write() as tx:
            users.add(tx, name, role=checked.word, password_hash=password_hash, now=now)
    except Conflict as error:
        raise UserError(f"there is a user {name!r} already: remove it first") from error


def checked_role(word: str) -> Role:
    """Return the role of that name. Raises UserError."""
    if word.upper() not in Role.__members__:
        words = ", ".join(member.word for member in Role)
        raise UserError(f"no role {word!r}: there is {words}")
    return Role[word.upper()]


def checked_password(password: str) -> str:
    """Return ``password``. Raises UserError where it is too short."""
    if len(password) < LEAST_LENGTH:
        raise UserError(f"a password has at least {LEAST_LENGTH} characters")
    return password


def role(user: users.User) -> Role:
    """Return what the user may."""
    return Role[user.role.upper()]


def _count_failure(database: Database, name: str, now: datetime) -> None:
    with database.write() as tx:
        if users.failed(tx, name, most=MOST_FAILURES, locked_until=now + LOCKED):
            log.warning("user locked after too many wrong passwords", user=name, until=str(now + LOCKED))


def _correct(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError, UnicodeError):  # half of a pair of surrogates is no text
        return False
