"""What the other rooms tell of what happens; each event becomes a message that waits to be sent.

Nothing here raises and nothing waits for a network: an event that cannot be written down is counted, logged,
and what it is about goes on.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import structlog

from scp.auditing import messages, syslog
from scp.auditing.messages import Event, Outcome, Party, Study
from scp.configuration.settings import Settings, defaults
from storage.audit_spool import AuditSpool

log = structlog.get_logger(__name__)

ALERT_SECONDS: Final = 60.0
"""One caller's refusals become one alert in this time: who tries again and again fills no spool."""
MOST_CALLERS: Final = 1000
"""Callers whose last alert is remembered; more at a time share one memory, and one alert."""


@dataclass(frozen=True, kw_only=True)
class Trail:
    """Writes down what happens, where ``[audit]`` wants it. Safe for use from many threads."""

    settings: Settings
    added: Callable[[], None] = lambda: None
    """Called after a message was added."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    host: str = field(default_factory=socket.gethostname)
    _alerts: dict[tuple[str, str], float] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def on(self) -> bool:
        """Whether anybody wants to know."""
        return self.settings.audit.on

    @cached_property
    def spool(self) -> AuditSpool:
        """Where the messages wait."""
        return AuditSpool(self.settings.node.data_dir, most=self.settings.audit.queue)

    def this_process(self, *, requestor: bool, role: messages.Code | None = None) -> Party:
        """Return this process as a party."""
        return Party(
            user_id=str(os.getpid()),
            requestor=requestor,
            ae_title=self.settings.node.ae_title,
            address=self.host,
            role=role,
        )

    def application(self, *, started: bool) -> None:
        """Tell that the node has started, or is about to stop (A.5.3.1)."""
        kind = messages.START if started else messages.STOP
        self._tell(
            Event.APPLICATION_ACTIVITY,
            [self.this_process(requestor=False, role=messages.APPLICATION)],
            kind=kind,
        )

    def refused(self, calling_ae: str, address: str, reason: str) -> None:
        """Tell that a caller could not show who it is, or is nobody who may call (A.5.3.11)."""
        if not self.on or not self._is_news(calling_ae, address):
            return
        caller = Party(user_id=calling_ae or address, requestor=False, ae_title=calling_ae, address=address)
        self._tell(
            Event.SECURITY_ALERT,
            [self.this_process(requestor=True), caller],
            kind=messages.NODE_AUTHENTICATION,
            outcome=Outcome.MINOR_FAILURE,
            description=reason,
            objects=[messages.node(calling_ae or address, reason)],
        )

    def authenticated(self, name: str, address: str, *, out: bool = False, refused: bool = False) -> None:
        """Tell that somebody signed in to the console, or out, or was refused (A.5.3.12)."""
        self._tell(
            Event.USER_AUTHENTICATION,
            [Party(user_id=name, requestor=True, address=address), self.this_process(requestor=False)],
            kind=messages.LOGOUT if out else messages.LOGIN,
            outcome=Outcome.MINOR_FAILURE if refused else Outcome.SUCCESS,
        )

    def user_changed(self, name: str, change: str, *, by: str, address: str = "") -> None:
        """Tell what of a user of the console was changed ``by`` whom, in words (A.5.3.11)."""
        words = f"user {name}: {change}"
        self._tell(
            Event.SECURITY_ALERT,
            [self.this_process(requestor=True), Party(user_id=by, requestor=False, address=address)],
            kind=messages.USER_ATTRIBUTES,
            description=words,
            objects=[messages.node(self.host, words)],
        )

    def deleted(self, study_uid: str, patient_ids: Iterable[str]) -> None:
        """Tell that retention has removed a study (A.5.3.8): a message for each patient that it was of."""
        for patient_id in sorted(set(patient_ids)) or [""]:
            self._tell(
                Event.STUDY_DELETED,
                [self.this_process(requestor=True)],
                objects=[
                    messages.study(Study(study_uid=study_uid, instances={})),
                    messages.patient(patient_id),
                ],
            )

    def transferring(self, parties: Iterable[Party], study: Study, patient_id: str) -> None:
        """Tell that instances of a study begin to be transferred (A.5.3.6)."""
        objects = [messages.study(study), messages.patient(patient_id)]
        self._tell(Event.BEGIN_TRANSFERRING, parties, objects=objects)

    def transferred(
        self,
        parties: Iterable[Party],
        studies: Iterable[Study],
        patient_id: str,
        *,
        action: str,
        outcome: Outcome,
    ) -> None:
        """Tell that instances of one patient were transferred, or were not (A.5.3.7)."""
        objects = [*map(messages.study, studies), messages.patient(patient_id)]
        self._tell(Event.TRANSFERRED, parties, action=action, outcome=outcome, objects=objects)

    def _is_news(self, calling_ae: str, address: str) -> bool:
        now = time.monotonic()
        with self._lock:
            for key in [key for key, at in self._alerts.items() if now - at > ALERT_SECONDS]:
                del self._alerts[key]
            full = len(self._alerts) >= MOST_CALLERS
            key = ("", "") if full else (calling_ae, address)
            if key in self._alerts:
                return False
            self._alerts[key] = now
            return True

    def _tell(self, event: Event, parties: Iterable[Party], **more: Any) -> None:  # noqa: ANN401 - of `message`
        if not self.on:
            return
        at = self.now()
        source = f"{self.settings.node.ae_title}@{self.host}"
        try:
            text = messages.message(event, at=at, source=source, parties=parties, **more)
            entry = syslog.envelope(text, at=at, host=self.host, process=os.getpid())
            if not self.spool.add(entry):
                log.error("an audit message is lost: too many wait already", event_of_it=event.name)
                return
        except OSError as error:
            log.error("an audit message is lost: it cannot be written", reason=error.strerror)  # noqa: TRY400
            return
        self.added()


NO_TRAIL: Final = Trail(settings=defaults())
"""Tells nobody."""
