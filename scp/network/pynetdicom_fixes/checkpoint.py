"""The gate at which an association's own thread rests while another thread waits for an answer.

The library lets the own thread through first and then notes that it no longer rests. Who closes the gate in
between believes that it rests, and sends; and the own thread may take the answer for a request and drop it.
On a busy machine that was one in 1,500.
"""

from __future__ import annotations

import threading

from pynetdicom.association import Association
from pynetdicom.events import Event


class Checkpoint:
    """What the library needs of its own `threading.Event`; both steps are one here."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._open = True
        self._changed = threading.Condition()

    def set(self) -> None:
        """Open the gate."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Close the gate; whoever has not passed it by now rests, and is noted as resting."""
        with self._changed:
            self._open = False
            if threading.current_thread() is self._association:  # its own time-out releases
                self._association._is_paused = True  # noqa: SLF001 - the library has no other name for it

    def wait(self) -> None:
        """Rest until the gate is open; the association's own thread, noted as resting, calls this.

        Of an association that has ended no answer can be lost, and its thread is to go on.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._association._kill)  # noqa: SLF001
            self._association._is_paused = False  # noqa: SLF001 - as above


def install_checkpoint(event: Event) -> None:
    """Give the association of an EVT_CONN_OPEN such a gate, before its first message."""
    association = event.assoc
    run = association._run_reactor  # noqa: SLF001 - the only way

    def run_and_rest() -> None:
        try:
            run()
        finally:  # the library leaves who waits for that waiting
            association._is_paused = True  # noqa: SLF001 - as above

    for name, stand_in in (("_reactor_checkpoint", Checkpoint(association)), ("_run_reactor", run_and_rest)):
        setattr(association, name, stand_in)
