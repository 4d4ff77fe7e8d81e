"""What the server's errors mean: again, later, or never, in a sentence that names the database and the mend.

Details of the server name values of rows, so none is repeated, and no cause is kept: only its first message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from storage.errors import Conflict, DatabaseError, Full, StorageError

LOCK_NOT_AVAILABLE: Final = "55P03"

_MENDS: Final = {
    "53100": (Full, "the server's disk is full: make room, the work goes on by itself"),
    "53": (DatabaseError, "the server has no room for more: raise its limit, or wait"),
    LOCK_NOT_AVAILABLE: (DatabaseError, "locked: another process holds it: stop what else uses it, or wait"),
    "40": (DatabaseError, "two transactions were in each other's way: it is tried again"),
    "25P03": (DatabaseError, "the transaction was idle for too long: it is tried again"),
    "25006": (DatabaseError, "it is readonly here: a standby, or opened to be looked at"),
    "42501": (DatabaseError, "give the node's user the right to it: GRANT, or make it the owner"),
    "XX": (DatabaseError, "it is damaged: stop the node and put a backup in its place"),
    "58": (DatabaseError, "the server's disk fails: check it"),
}
"""By SQLSTATE or its class (PostgreSQL, appendix A)."""

_OUT_OF_REACH: Final = "it cannot be reached: start the server or mend the way to it, the work goes on then"
_REFUSED: Final = (
    ("authentication", "correct the user of [database] url, or its password file"),
    ("no password", "name a password file: ?passfile=/PATH in [database] url, or PGPASSFILE"),
    ("does not exist", "make it: createdb, createuser, or correct [database] url"),
    ("pg_hba", "let this host in: pg_hba.conf of the server"),
)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn the driver's errors into this room's: a sentence with the database's name and what to do."""
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise Conflict(f"{name} refused the change: {_message(error)}") from None
    except DBAPIError as error:
        raise _sentence(name, error) from None
    except StatementError as error:
        # A value that its column type refuses (a naive datetime): the caller's mistake, not the database's.
        raise (error.orig or error) from None


def code(error: DBAPIError) -> str:
    """Return the SQLSTATE of ``error``; empty where the server has not answered."""
    return getattr(error.orig, "sqlstate", None) or ""


def _message(error: DBAPIError) -> str:
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return str(primary or (str(error.orig).strip() or "no answer").splitlines()[0])


def _sentence(name: str, error: DBAPIError) -> StorageError:
    state, message = code(error), _message(error)
    kind, mend = _MENDS.get(state) or _MENDS.get(state[:2]) or (DatabaseError, "")
    if not mend and (not state or state[:2] in ("08", "57")):
        refusals = (mend for words, mend in _REFUSED if words in str(error.orig))
        mend = next(refusals, _OUT_OF_REACH)
    return kind(f"database {name}: {message}: {mend or 'look into the log of the server'}")
