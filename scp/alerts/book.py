"""The book of alerts: what is to be told over a channel now, so that nothing is told without end.

Each channel has notices of its own, since one may fail while another works. No clock, no socket, no row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from scp.alerts.conditions import Observation
from storage.alerts import Notice

OVER_AFTER: Final = timedelta(minutes=10)
"""A condition that is gone for less than this counts as lasting."""

Key = tuple[str, str, str]
"""Channel, kind and subject."""


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What one channel has to tell."""

    raised: tuple[Notice, ...]
    repeated: tuple[Notice, ...]
    over: tuple[Notice, ...]

    def __bool__(self) -> bool:
        """Tell whether there is anything to tell."""
        return bool(self.raised or self.repeated or self.over)


class Book:
    """The notices of all channels. For use by one thread."""

    def __init__(self, notices: Iterable[Notice]) -> None:
        self._notices: dict[Key, Notice] = {_key(notice): notice for notice in notices}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """All of them."""
        return tuple(self._notices.values())

    def note(self, observation: Observation, channels: Collection[str], *, now: datetime) -> None:
        """Note what was seen, for each of ``channels``; forget what no channel will tell."""
        present: set[Key] = set()
        for channel in channels:
            for condition in observation.conditions:
                key = (channel, condition.kind.value, condition.subject)
                present.add(key)
                before = self._notices.get(key)
                self._notices[key] = Notice(
                    channel=channel,
                    kind=condition.kind.value,
                    subject=condition.subject,
                    words=condition.words,
                    raised_at=now if before is None else before.raised_at,
                    told_at=None if before is None else before.told_at,
                    gone_at=None,
                )
        for key, notice in list(self._notices.items()):
            if notice.channel not in channels:
                del self._notices[key]
            elif key not in present and notice.kind not in observation.unknown and notice.gone_at is None:
                self._notices[key] = replace(notice, gone_at=now)
            elif notice.told_at is None and _over(notice, now):
                del self._notices[key]  # nobody has heard of it, and nobody needs to

    def news(self, channel: str, *, repeat: timedelta, now: datetime) -> News:
        """Return what ``channel`` has to tell; what was told is repeated after ``repeat``, while it is so."""
        own = [notice for notice in self._notices.values() if notice.channel == channel]
        return News(
            raised=tuple(notice for notice in own if notice.told_at is None and notice.gone_at is None),
            repeated=tuple(
                notice
                for notice in own
                if notice.told_at is not None
                and notice.gone_at is None
                and abs(now - notice.told_at) >= repeat
            ),
            over=tuple(notice for notice in own if _over(notice, now)),
        )

    def mark_told(self, news: News, *, now: datetime) -> None:
        """Note that ``news`` was told."""
        for notice in (*news.raised, *news.repeated):
            self._notices[_key(notice)] = replace(notice, told_at=now)
        for notice in news.over:
            del self._notices[_key(notice)]


def _key(notice: Notice) -> Key:
    return notice.channel, notice.kind, notice.subject


def _over(notice: Notice, now: datetime) -> bool:
    # absolute: the clock may be set back
    return notice.gone_at is not None and abs(now - notice.gone_at) >= OVER_AFTER
