"""The model: its card, the threshold in force, and what the scanners here score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from markdown_it import MarkdownIt
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from inference import scanner_calibration
from scp import calibration, product
from scp.calibration import ScannerPopulation
from scp.console import rendering, services
from scp.console.drawing import charts
from scp.console.drawing.charts import Bar
from scp.console.services import Services

CARD: Final = "card.md"
PLOTS: Final = MappingProxyType(
    {
        "roc.png": "ROC curves: sensitivity against false alarms",
        "precision_recall.png": "Precision against recall",
        "reliability.png": "Reliability: how often a score is right",
        "confusion.png": "Confusion: label against prediction",
        "training.png": "Loss while it was trained",
    }
)
"""The pictures beside a card, in the order of the page, and what each shows."""
PLOT_HEADERS: Final = MappingProxyType(
    {
        "Cache-Control": "private, max-age=3600",
        "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
    }
)
"""A browser that shows a picture alone lays it out by styles of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerView:
    """One scanner as the page shows it."""

    name: str
    entry: ScannerPopulation
    bars: tuple[Bar, ...]
    """How its last examinations score."""
    threshold: float
    source: str
    flagged: float | None
    """Share of them at or above the threshold."""
    drift: str


def show(request: Request) -> Response:
    """Return the page."""
    node = services.of(request)
    folder = product.model_folder(node.settings.model.name)
    card = folder / CARD
    return rendering.page(
        request,
        "model.html",
        {
            "manifest": node.manifest,
            "rule": node.rule,
            "card": _html(card.read_text(encoding="utf-8")) if card.exists() else None,
            "plots": {name: words for name, words in PLOTS.items() if (folder / name).is_file()},
            "scanners": [_view(node, entry) for entry in calibration.scanners(node.database)],
            "needed": scanner_calibration.NEEDED,
        },
    )


def plot(request: Request) -> Response:
    """Return one of the card's pictures."""
    node = services.of(request)
    name = request.path_params["name"]
    path = Path(product.model_folder(node.settings.model.name), name)
    if name not in PLOTS or not path.is_file():
        raise HTTPException(404, "this card has no such picture")
    return FileResponse(path, media_type="image/png", headers=PLOT_HEADERS)


def _view(node: Services, entry: ScannerPopulation) -> ScannerView:
    accepted, uncalibrated = entry.calibration, node.rule.threshold
    threshold = uncalibrated.value if accepted is None else accepted.threshold
    return ScannerView(
        name=str(entry.scanner),
        entry=entry,
        bars=charts.histogram(entry.population),
        threshold=threshold,
        source=uncalibrated.source if accepted is None else calibration.source(accepted),
        flagged=scanner_calibration.share_flagged(entry.population, threshold) if entry.population else None,
        drift=_drift(entry),
    )


def _drift(entry: ScannerPopulation) -> str:
    if entry.drift is None:
        return f"not known before {2 * scanner_calibration.NEEDED} examinations"
    apart = f"{entry.drift.distance:.0%} apart, limit {entry.drift.limit:.0%}"
    return f"drifted: {apart}" if entry.drift.drifted else f"as before: {apart}"


@lru_cache(maxsize=1)
def _html(text: str) -> str:
    """Return the Markdown of a card as HTML: headings one level lower; HTML in it is shown and not obeyed.

    The last one is kept: the card of a shipped model takes 0.1 s, nearly all of the page.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    rendered = str(parser.renderer.render(tokens, parser.options, {}))
    return rendered.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
