"""The reader of protocol data units (PS3.8 9.3): each has a longest length, and a time for the whole of it.

So has each message: units of a byte may come in time and fill a day.

It stands in the place of pynetdicom's own, which reads as many bytes as a peer claims (4 GB at most), gives
each byte a timeout of its own, and logs a broken unit in twenty lines without the peer's address.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Final

import structlog
from pynetdicom.association import Association

from scp.network import patience
from scp.network.pynetdicom_fixes import received_file
from scp.network.pynetdicom_fixes.connections import acknowledge, connection_of
from scp.network.pynetdicom_fixes.units import (
    CLOSED,
    DATA_TRANSFER,
    FRAGMENT,
    HEADER,
    INVALID,
    BrokenUnit,
    is_middle_of_data_set,
    length_of,
)

log = structlog.get_logger(__name__)

PIECE: Final = 65_536
LONGEST_COMMAND: Final = 65_536
"""Bytes of a command set (PS3.7 6.3.1), over all of its fragments."""
LONGEST_IDENTIFIER: Final = 2_097_152
"""Bytes of a data set that comes with another command than C-STORE, and is held in memory: 10,000 instances
to commit have 1.5 million. An empty item has 8, and takes a hundred times as many when it is looked at."""
DATA_CAME: Final = "Evt10"
MOMENT_MILLISECONDS: Final = 20


class UnitReader:
    """Reads what the peer of one association sends. Called in the thread of its upper layer alone.

    Parameters
    ----------
    association
        Not started, or just connected.
    longest_data
        Bytes of the longest P-DATA-TF.
    seconds
        How long one unit may take from its first byte to its last.

    """

    def __init__(self, association: Association, *, longest_data: int, seconds: float) -> None:
        self._association = association
        self._upper_layer = association.dul
        self._act: Callable[[str], None] = association.dul.state_machine.do_action
        self._longest_data = longest_data
        self._seconds = seconds
        self._unit = bytearray(HEADER)
        """What comes in; it grows to the longest unit that has come."""
        self._received = 0
        self._message_began: float | None = None
        """When the message that is coming in began, by the monotonic clock."""
        self.broken = False

    def install(self) -> None:
        """Put this reader, and `act`, in the place of the library's."""
        setattr(self._upper_layer, "_read_pdu_data", self.read)  # noqa: B010 - mypy forbids to assign a method
        setattr(self._upper_layer.state_machine, "do_action", self.act)  # noqa: B010 - the same

    def read(self) -> None:
        """Read one unit; put it and its event, or the event that ends the association, into the queues."""
        try:
            if self.broken:
                self._swallow()
            else:
                self._read()
        except BrokenUnit as error:
            self._report(str(error))
            if error.event == CLOSED:
                self._close()
            else:
                self._upper_layer.event_queue.put(error.event)

    def act(self, event: str) -> None:
        """Let the state machine act. Where it raises the association is aborted, in the library it hangs.

        What it raises about is what the peer has sent: a message that is none, or a unit out of turn.
        """
        try:
            self._act(event)
            self._check_message()
            if event == DATA_CAME and INVALID in self._upper_layer.event_queue.queue:
                self._report("message is no DIMSE message")
        except Exception as error:  # noqa: BLE001 - whatever a peer's bytes bring the library to
            repeated = self.broken
            self._report(str(error) if isinstance(error, BrokenUnit) else _in_words(error))
            if repeated:
                self._end()
            else:
                self._upper_layer._kill_thread = False  # noqa: SLF001 - the library has given up
                self._upper_layer.event_queue.put(INVALID)

    def _read(self) -> None:
        """Read one unit, or those in the middle of a data set, as long as they come.

        The library would write those, too, having copied each four times and handed it from queue to queue.
        """
        while True:
            deadline = time.monotonic() + self._seconds
            if not self._receive(0, HEADER, deadline):
                self._upper_layer.event_queue.put(CLOSED)  # it hung up, as everybody may
                return
            size = HEADER + length_of(bytes(self._unit[:HEADER]), longest_data=self._longest_data)
            if len(self._unit) < size:
                self._unit = self._unit[:HEADER] + bytes(size - HEADER)
            self._receive(HEADER, size, deadline, started=True)
            self._received += size
            file = received_file.in_progress(self._association)
            if file is None or not is_middle_of_data_set(self._unit, size) or not self._is_at_rest():
                break
            with memoryview(self._unit) as unit:
                file.write(unit[FRAGMENT:size])
            self._upper_layer._idle_timer.restart()  # noqa: SLF001 - as the library does after each read
            self._check_message()
            if not self._more_is_there():
                return
        self._hand_over(bytes(self._unit[:size]))

    def _hand_over(self, unit: bytes) -> None:
        """Give ``unit`` to the library, which does with it what the state of the association says."""
        try:
            pdu, event = self._upper_layer._decode_pdu(bytearray(unit))  # noqa: SLF001 - the library's only way
        except Exception as error:
            raise BrokenUnit(
                f"PDU of type 0x{unit[0]:02X} cannot be read ({type(error).__name__})"
            ) from error
        self._upper_layer.event_queue.put(event)
        self._upper_layer._recv_pdu.put(pdu)  # noqa: SLF001 - the same

    def _is_at_rest(self) -> bool:
        """Tell whether the library's thread would find nothing to do but to read."""
        layer = self._upper_layer
        return (
            layer.state_machine.current_state == DATA_TRANSFER
            and layer.event_queue.empty()
            and layer.to_provider_queue.empty()
            and not layer._kill_thread  # noqa: SLF001 - the library has no other name for it
        )

    def _more_is_there(self) -> bool:
        """Wait a moment for the next unit; tell whether to read it here."""
        connection = self._upper_layer.socket
        if connection is None or not self._is_at_rest():
            return False
        if connection.ready:
            return True
        if not self._is_at_rest():  # the connection is gone, which the question has noted
            return False
        poll = select.poll()
        poll.register(self._connection(), select.POLLIN)
        return bool(poll.poll(MOMENT_MILLISECONDS)) and self._is_at_rest()

    def _receive(self, start: int, end: int, deadline: float, *, started: bool = False) -> bool:
        """Fill the bytes from ``start`` to ``end`` of a unit; False where the peer has hung up before it."""
        connection = self._connection()
        usual = connection.gettimeout()
        place = start
        try:
            with memoryview(self._unit) as unit:
                while place < end:
                    # not where images come in: they need none, and it would take 2 % of their rate
                    if started and end - place <= PIECE and self._association.is_requestor:
                        acknowledge(connection)
                    # 0 would not wait at all, and say so with another error
                    connection.settimeout(max(0.001, deadline - time.monotonic()))
                    received = connection.recv_into(unit[place:end])
                    if not received and (started or place > start):
                        raise BrokenUnit("connection ended within a PDU", event=CLOSED)
                    if not received:
                        return False
                    place += received
        except TimeoutError as error:
            raise BrokenUnit(f"PDU took longer than {self._seconds:g} s", event=CLOSED) from error
        except OSError as error:
            if started or place > start:
                raise BrokenUnit(f"connection lost ({error.strerror})", event=CLOSED) from error
            return False
        finally:
            if connection.fileno() >= 0:
                connection.settimeout(usual)
        return True

    def _connection(self) -> socket.socket:
        connection = connection_of(self._association)
        if connection is None:
            raise BrokenUnit("connection is closed", event=CLOSED)
        return connection

    def _check_message(self) -> None:
        """Raise BrokenUnit where the message that comes in takes more memory or time than any may take."""
        message = self._association.dimse.message
        if message is None:
            self._received, self._message_began = 0, None
            return
        now = time.monotonic()
        began = self._message_began = now if self._message_began is None else self._message_began
        if now - began > patience.seconds(self._seconds, self._received):
            raise BrokenUnit(f"message of {self._received} bytes took longer than {now - began:.0f} s")
        if message.encoded_command_set.tell() > LONGEST_COMMAND:
            raise BrokenUnit(f"command of more than {LONGEST_COMMAND} bytes")
        if message.data_set is not None and message.data_set.tell() > LONGEST_IDENTIFIER:
            raise BrokenUnit(f"data set of more than {LONGEST_IDENTIFIER} bytes without a C-STORE")

    def _swallow(self) -> None:
        """Take what still comes of a peer whose association is being aborted, and do not read it."""
        try:
            piece = self._connection().recv(PIECE)
        except (OSError, BrokenUnit):
            piece = b""
        if not piece:
            self._upper_layer.event_queue.put(CLOSED)

    def _close(self) -> None:
        if self._upper_layer.socket is not None:
            self._upper_layer.socket.close()  # puts the event by itself

    def _end(self) -> None:
        """End both threads of the association: nothing that the state machine could do is left."""
        self._close()
        self._association.is_aborted = True
        self._association.is_established = False
        self._association._kill = True  # noqa: SLF001 - as the library does where its own thread fails
        self._upper_layer.kill_dul()

    def _report(self, reason: str) -> None:
        """Log the first thing that is wrong with an association: what follows is of the same kind."""
        if self.broken:
            return
        self.broken = True
        if self._association.is_requestor:
            peer, title = self._association.acceptor, self._association.acceptor.ae_title
        else:
            peer, primitive = self._association.requestor, self._association.requestor.primitive
            title = "" if primitive is None else primitive.calling_ae_title
        log.warning(
            "association ended: the peer broke the protocol",
            reason=reason,
            address=peer.address,
            peer=title.strip(),
        )


def reported(association: Association) -> bool:
    """Tell whether the log says already that the peer of ``association`` has broken the protocol."""
    reader = getattr(association.dul._read_pdu_data, "__self__", None)  # noqa: SLF001 - where `install` puts it
    return isinstance(reader, UnitReader) and reader.broken


def _in_words(error: Exception) -> str:
    return f"message cannot be read ({type(error).__name__})"
