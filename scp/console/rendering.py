"""Templates: where they are, what they may call, and what every page shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydicom.uid import UID
from starlette.requests import Request
from starlette.responses import HTMLResponse

from inference.wording import NOT_FOR_DIAGNOSIS, sentence
from scp import product
from scp.console import services, visitors, wording
from scp.console.visitors import Role

FOLDER: Final = Path(__file__).resolve().parent
THEME_COOKIE: Final = "theme"
THEMES: Final = ("auto", "light", "dark")


def _moment(at: datetime | None) -> str:
    """Return ``at`` in the local time of this machine, with its zone."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


_environment: Final = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "moment": _moment,
    "share": wording.share,
    "duration": wording.duration,
    "sentence": sentence,
    "plainly": wording.plainly,
    "class_name": lambda uid: UID(uid).name,
}
_environment.globals |= {"Role": Role, "NOT_FOR_DIAGNOSIS": NOT_FOR_DIAGNOSIS, "version": product.__version__}


def page(
    request: Request,
    name: str,
    context: Mapping[str, object],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return the page ``name``, for who asks, in the theme of its browser."""
    theme = request.cookies.get(THEME_COOKIE)
    text = _environment.get_template(name).render(
        **context,
        visitor=visitors.of(request),
        ae_title=services.of(request).settings.node.ae_title,
        theme=theme if theme in THEMES else "auto",
        path=request.url.path,
        now=services.of(request).now(),
        ago=wording.ago,
    )
    return HTMLResponse(text, status_code=status, headers=dict(headers or {}))
