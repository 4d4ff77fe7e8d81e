"""The reader of protocol data units (PS3.8 9.3): each has a longest length, and a time for the whole of it.

So has each message: units of a byte may come in time and fill a day.

It stands in the place of pynetdicom's own, which reads as many bytes as a peer claims (4 GB at most), gives
each byte a timeout of its own, and logs a broken unit in twenty lines without the peer's address.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Final

import structlog
from pynetdicom.association import Association

from scp.network import patience
from scp.network.pynetdicom_fixes.connections import connection_of

log = structlog.get_logger(__name__)

HEADER: Final = 6
"""Bytes of type, reserved byte and length, which every unit begins with."""
LONGEST_ASSOCIATION: Final = 65_536
"""Bytes of A-ASSOCIATE-RQ and -AC: 128 contexts with all their transfer syntaxes take half of it."""
SHORT: Final = 4
"""Bytes of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT (PS3.8 9.3.4 to 9.3.8)."""
REQUEST, ACCEPTANCE, DATA, KINDS = 0x01, 0x02, 0x04, range(0x01, 0x08)
PIECE: Final = 65_536
LONGEST_COMMAND: Final = 65_536
"""Bytes of a command set (PS3.7 6.3.1), over all of its fragments."""
LONGEST_IDENTIFIER: Final = 2_097_152
"""Bytes of a data set that comes with another command than C-STORE, and is held in memory: 10,000 instances
to commit have 1.5 million. An empty item has 8, and takes a hundred times as many when it is looked at."""
ABORT: Final = b"\x07\0\0\0\0\4\0\0\2\1"
"""A-ABORT by the service provider: unrecognised PDU (PS3.8 9.3.8)."""

DATA_CAME: Final = "Evt10"
_CLOSED, _INVALID = "Evt17", "Evt19"
"""Events of the upper layer's state machine (PS3.8 9.2.3): the connection is closed, a PDU is invalid."""


class BrokenUnit(Exception):  # noqa: N818 - it is the peer's fault, which ends its association
    """A peer has sent what is no protocol data unit, or not in time; the message says what."""

    def __init__(self, reason: str, *, event: str = _INVALID) -> None:
        super().__init__(reason)
        self.event = event


def length_of(header: bytes, *, longest_data: int) -> int:
    """Return how many bytes follow ``header``. Raises BrokenUnit where it may not claim so many."""
    kind, _, length = struct.unpack(">BBL", header)
    if kind not in KINDS:
        raise BrokenUnit(f"PDU of unknown type 0x{kind:02X}")
    longest = {REQUEST: LONGEST_ASSOCIATION, ACCEPTANCE: LONGEST_ASSOCIATION, DATA: longest_data}
    if length > (allowed := longest.get(kind, SHORT)):
        raise BrokenUnit(f"PDU of type 0x{kind:02X} claims {length} bytes, {allowed} are allowed")
    return int(length)


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
            if error.event == _CLOSED:
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
            if event == DATA_CAME and _INVALID in self._upper_layer.event_queue.queue:
                self._report("message is no DIMSE message")
        except Exception as error:  # noqa: BLE001 - whatever a peer's bytes bring the library to
            repeated = self.broken
            self._report(str(error) if isinstance(error, BrokenUnit) else _in_words(error))
            if repeated:
                self._end()
            else:
                self._upper_layer._kill_thread = False  # noqa: SLF001 - the library has given up
                self._upper_layer.event_queue.put(_INVALID)

    def _read(self) -> None:
        deadline = time.monotonic() + self._seconds
        header = self._receive(HEADER, deadline)
        if not header:
            self._upper_layer.event_queue.put(_CLOSED)  # it hung up, as everybody may
            return
        unit = header + self._receive(
            length_of(bytes(header), longest_data=self._longest_data), deadline, started=True
        )
        try:
            pdu, event = self._upper_layer._decode_pdu(unit)  # noqa: SLF001 - the library's only way
        except Exception as error:
            raise BrokenUnit(
                f"PDU of type 0x{unit[0]:02X} cannot be read ({type(error).__name__})"
            ) from error
        self._received += len(unit)
        self._upper_layer.event_queue.put(event)
        self._upper_layer._recv_pdu.put(pdu)  # noqa: SLF001 - the same

    def _receive(self, size: int, deadline: float, *, started: bool = False) -> bytearray:
        """Return ``size`` bytes, or none at all where the peer has hung up before the first of a unit."""
        received = bytearray()
        connection = self._connection()
        usual = connection.gettimeout()
        try:
            while len(received) < size:
                # 0 would not wait at all, and say so with another error
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                piece = connection.recv(min(PIECE, size - len(received)))
                if not piece and (started or received):
                    raise BrokenUnit("connection ended within a PDU", event=_CLOSED)
                if not piece:
                    break
                received += piece
        except TimeoutError as error:
            raise BrokenUnit(f"PDU took longer than {self._seconds:g} s", event=_CLOSED) from error
        except OSError as error:
            if started or received:
                raise BrokenUnit(f"connection lost ({error.strerror})", event=_CLOSED) from error
        finally:
            if connection.fileno() >= 0:
                connection.settimeout(usual)
        return received

    def _connection(self) -> socket.socket:
        connection = connection_of(self._association)
        if connection is None:
            raise BrokenUnit("connection is closed", event=_CLOSED)
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
            self._upper_layer.event_queue.put(_CLOSED)

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
