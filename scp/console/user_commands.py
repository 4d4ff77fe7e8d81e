"""The ``user`` commands: who may use the console."""

from __future__ import annotations

import os
import pwd
import sys
from datetime import UTC, datetime

import typer

from scp import terminal
from scp.auditing.trail import Trail
from scp.configuration.settings import Settings
from scp.console import access
from scp.console.access import UserError
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import open_for_changes, open_for_reading
from storage import users


def add(settings: Settings, name: str, *, role: str) -> int:
    """Add a user; the password comes from standard input: asked for twice, or a line of a pipe."""
    password = _password()
    try:
        with open_for_changes(settings, new=True) as database:
            access.add_user(database, name, role=role, password=password, now=datetime.now(UTC))
            with database.read() as tx:
                everybody = users.every(tx)
    except UserError as error:
        raise CommandError(str(error), code=WRONG_USAGE) from error
    _tell(settings, name, f"added as {role.lower()}")
    first = ": from now on the console asks who comes" if len(everybody) == 1 else ""
    terminal.out().print(f"user {name} added, {role.lower()}{first}")
    if not settings.openid.on and not any(user.role == "admin" for user in everybody):
        terminal.out().print("there is no admin yet: `user add NAME --role admin`")
    return OK


def remove(settings: Settings, name: str) -> int:
    """Remove a user, with its sessions and tokens."""
    with open_for_changes(settings) as database, database.write() as tx:
        if not users.remove(tx, name):
            raise CommandError(f"there is no user {name!r}")
        left = users.number(tx)
    _tell(settings, name, "removed")
    terminal.out().print(f"user {name} removed")
    if not left:
        terminal.out().print(
            "there are no users any more: the console is open to this machine, and to no other"
        )
    return OK


def show(settings: Settings, *, as_json: bool) -> int:
    """List the users."""
    with open_for_reading(settings) as database, database.read() as tx:
        everybody = users.every(tx)
    if as_json:
        for user in everybody:
            terminal.print_json(
                {
                    "name": user.name,
                    "role": user.role,
                    "locked_until": user.locked_until,
                    "disabled": user.disabled,
                }
            )
        return OK
    rows = [
        (
            user.name,
            user.role,
            terminal.moment(user.created_at),
            "disabled" if user.disabled else terminal.moment(user.locked_until),
        )
        for user in everybody
    ]
    terminal.out().print(terminal.table("Users", ["name", "role", "since", "locked until"], rows))
    return OK


def token(settings: Settings, name: str, *, label: str) -> int:
    """Print a token for a program that comes as this user."""
    with open_for_changes(settings) as database:
        with database.read() as tx:
            user = users.find(tx, name)
        if user is None:
            raise CommandError(f"there is no user {name!r}: `user add` makes one")
        secret = access.new_token(database, name, label, now=datetime.now(UTC))
    _tell(settings, name, "token made")
    terminal.err().print("the token is shown this once; a program sends it as Authorization: Bearer …")
    terminal.out().print(secret, soft_wrap=True)
    return OK


def _tell(settings: Settings, name: str, change: str) -> None:
    """Tell the audit trail what of whom this account of the machine has changed; the node sends it."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container
        account = str(os.getuid())
    Trail(settings=settings).user_changed(name, change, by=account)


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
