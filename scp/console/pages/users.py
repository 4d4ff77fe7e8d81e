"""Who may use the console: the page on which an administrator adds, changes and removes users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scp.console import access, rendering, services, visitors
from scp.console.access import UserError
from scp.console.visitors import Role, Visitor
from storage import users
from storage.database.engine import Database
from storage.users import Token

log = structlog.get_logger(__name__)

OWN: Final = frozenset({"role", "disable", "remove"})
"""Changes that nobody makes to itself: the last administrator would be locked out."""
OF_PASSWORD: Final = frozenset({"role", "password"})
"""Changes of users who sign in with a password of this console."""
LABEL_LENGTH: Final = 64
WORDS: Final[Mapping[str, str]] = {
    "role": "role set to {role}",
    "password": "password set",
    "disable": "disabled",
    "enable": "enabled",
    "unlock": "unlocked",
    "remove": "removed",
    "revoke": "token revoked",
}
"""What the audit trail says of each change."""


def show(request: Request) -> Response:
    """Return the page."""
    visitors.require(request, Role.ADMIN)
    return _page(request)


async def add(request: Request) -> Response:
    """Add a user. The first one is an administrator: from then on nobody else adds any here."""
    visitor = visitors.require(request, Role.ADMIN)
    await visitors.check_form(request)
    form, node = await request.form(), services.of(request)
    name, role = str(form.get("name", "")), str(form.get("role", ""))
    password = str(form.get("password", ""))

    def work() -> None:
        with node.database.read() as tx:
            first = not users.number(tx)
        if first and role != Role.ADMIN.word and not node.settings.openid.on:
            raise UserError("the first user must be an admin: nobody else could add the others")
        access.add_user(node.database, name, role=role, password=password, now=node.now())
        log.info("user added", user=name, role=role, by=visitor.name)
        _tell(request, name, f"added as {role}")

    return await _attempt(request, work)


async def change(request: Request) -> Response:
    """Do what the pressed button says with the user that it stands beside."""
    visitor = visitors.require(request, Role.ADMIN)
    await visitors.check_form(request)
    form, node = await request.form(), services.of(request)
    fields = {key: str(value) for key, value in form.items()}
    name, action = fields.get("name", ""), fields.get("action", "")
    if action == "token":
        return await _new_token(request, name, fields.get("label", "").strip()[:LABEL_LENGTH])

    def work() -> None:
        _change(node.database, visitor, fields)
        words = WORDS[action].format(role=fields.get("role", ""))
        _tell(request, name, words)

    return await _attempt(request, work)


def _change(database: Database, visitor: Visitor, fields: dict[str, str]) -> None:
    """Change a user. Raises UserError, and HTTPException where our page has no such button."""
    name, action = fields.get("name", ""), fields.get("action", "")
    if action in OWN and name == visitor.name:
        raise UserError("another administrator has to do that to you")
    with database.write() as tx:
        user = users.find(tx, name)
        if user is None:
            raise UserError(f"there is no user {name!r} any more")
        if action in OF_PASSWORD and user.subject is not None:
            raise UserError("the OpenID provider decides about role and password of this user")
        match action:
            case "role":
                users.set_role(tx, name, access.checked_role(fields.get("role", "")).word)
            case "password":
                password = access.checked_password(fields.get("password", ""))
                users.set_password(tx, name, access.hashed(password))
            case "disable" | "enable":
                users.set_disabled(tx, name, disabled=action == "disable")
            case "unlock":
                users.succeeded(tx, name)
            case "remove":
                users.remove(tx, name)
            case "revoke":
                users.revoke_token(tx, name, fields.get("token", ""))
            case _:
                raise HTTPException(400, "no such change")
    log.info("user changed", user=name, change=action, by=visitor.name)


async def _new_token(request: Request, name: str, label: str) -> Response:
    node = services.of(request)

    def work() -> str:
        with node.database.read() as tx:
            if users.find(tx, name) is None:
                raise UserError(f"there is no user {name!r} any more")
        secret = access.new_token(node.database, name, label or "token", now=node.now())
        _tell(request, name, "token made")
        return secret

    try:
        token = await run_in_threadpool(work)
    except UserError as error:
        return await run_in_threadpool(_page, request, problem=str(error), status=400)
    log.info("user changed", user=name, change="token", by=visitors.of(request).name)
    return await run_in_threadpool(_page, request, token=token, token_of=name)


def _tell(request: Request, name: str, change: str) -> None:
    """Tell the audit trail what of whom has changed."""
    by = visitors.of(request).name or "unknown"
    services.of(request).trail.user_changed(name, change, by=by, address=visitors.address(request))


async def _attempt(request: Request, work: Callable[[], None]) -> Response:
    try:
        await run_in_threadpool(work)
    except UserError as error:
        return await run_in_threadpool(_page, request, problem=str(error), status=400)
    return RedirectResponse("/users", 303)


def _page(
    request: Request,
    *,
    problem: str | None = None,
    token: str | None = None,
    token_of: str | None = None,
    status: int = 200,
) -> Response:
    node = services.of(request)
    with node.database.read() as tx:
        everybody, every_token = users.every(tx), users.tokens(tx)
    tokens: dict[str, list[Token]] = {user.name: [] for user in everybody}
    for entry in every_token:
        tokens[entry.user_name].append(entry)
    context = {
        "users": everybody,
        "tokens": tokens,
        "roles": list(Role),
        "openid": node.settings.openid.on,
        "least": access.LEAST_LENGTH,
        "problem": problem,
        "token": token,
        "token_of": token_of,
    }
    return rendering.page(request, "users.html", context, status=status)
