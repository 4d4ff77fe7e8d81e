"""Who makes room at the entrance: callers from many addresses, no descriptor left, drips within TLS."""

import errno
import resource
import select
import socket
import ssl
import time
from types import SimpleNamespace

import pytest

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import tls
from scp.network.association import Address, echo
from scp.receiving import callers as counted
from scp.receiving.admission import Admission
from scp.receiving.callers import LEAST, MOST, OF_AN_ASSOCIATION, OF_THE_NODE, Caller, Callers
from scp.receiving.connection_gate import ConnectionGate
from scp.receiving.listener import Listener
from storage.refused import Refused
from tests.support.authority import Authority
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

HANDSHAKE_SECONDS = 2.0
PAUSE = 0.02
"""Seconds between two bytes of a drip."""


@pytest.fixture
def connections():
    """Make callers; their connections are closed after the test."""
    sockets = []

    def make(address, *, at_gate=True):
        sockets.extend(socket.socketpair())
        caller = Caller(sockets[-1], address, deadline=float("inf"))
        caller.at_gate = at_gate
        return caller

    yield make
    for connection in sockets:
        connection.close()


def test_callers_from_a_thousand_addresses_push_out_no_caller_that_has_made_its_request(connections):
    callers = Callers(LEAST)
    good = connections("10.0.0.1", at_gate=False)
    assert callers.enter(good) is None
    former_callers = [
        callers.enter(connections(f"127.0.{number // 250}.{number % 250}")) for number in range(100)
    ]
    assert good not in former_callers
    assert sum(caller is not None for caller in former_callers) == 100 - (LEAST - 1)


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [
        (resource.RLIM_INFINITY, MOST),
        (100_000, MOST),
        (1024, MOST),
        (400, (400 - 128 - 80) // 2),
        (64, LEAST),
    ],
)
def test_places_leave_descriptors_for_associations_and_the_node(monkeypatch, descriptors, expected):
    monkeypatch.setattr(counted.resource, "getrlimit", lambda _: (descriptors, descriptors))
    associations = 20
    assert counted.places(associations) == expected
    if LEAST < expected < MOST:
        assert descriptors - 2 * expected >= OF_THE_NODE + OF_AN_ASSOCIATION * associations


def test_caller_that_waits_longest_makes_room_where_no_descriptor_is_left(connections):
    counted_as = []
    gate = ConnectionGate(
        MOST, context=None, seconds=30, refused=lambda _, reason, __: counted_as.append(reason)
    )
    longest, later = connections("127.0.0.2"), connections("127.0.0.3")
    for caller in (longest, later):
        gate.callers.enter(caller)
    refused = OSError(errno.EMFILE, "Too many open files")
    gate._accept(SimpleNamespace(accept=lambda: (_ for _ in ()).throw(refused)))
    assert longest.connection.fileno() < 0
    assert later.connection.fileno() >= 0
    assert counted_as == [Refused.CROWD]


@pytest.fixture
def tls_port(tmp_path):
    """A listener with TLS: its port, and how a peer calls it."""
    authority = Authority(tmp_path)
    settings = Settings(
        node=Node(host="127.0.0.1", port=0, data_dir=tmp_path, acse_timeout_seconds=HANDSHAKE_SECONDS),
        tls=authority.tls("node"),
        peers=(Peer(ae_title="PACS", results_to=()),),
    )
    listener = Listener(
        settings=settings,
        receiver=SimpleNamespace(archive=SimpleNamespace(incoming=tmp_path)),
        admission=Admission(settings),
        association_ended=lambda: None,
        refusals=UNCOUNTED,
        calls=UNCOUNTED_CALLS,
    )
    server = listener.start_tls()
    peer = Peer(ae_title="SECONDREAD", host="127.0.0.1", port=server.server_address[1], tls=True)
    yield server.server_address[1], tls.caller(authority.tls("pacs", kind="EC"), peer)
    server.shutdown()


def client_hello():
    """Return the bytes with which TLS begins."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="node")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_drips_within_a_handshake_have_one_time_and_delay_nobody(tls_port):
    port, caller = tls_port
    hello = client_hello()
    assert len(hello) * PAUSE > 2 * HANDSHAKE_SECONDS, "each drip alone would outlast its time"
    drips = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    began = time.monotonic()
    answered = echo(
        Address(host="127.0.0.1", port=port, calling="PACS", called="SECONDREAD", caller=caller), seconds=30
    )
    assert answered.ok
    for number in range(len(hello)):
        alive = [drip for drip in drips if drip.fileno() >= 0]
        for drip in alive:
            try:
                drip.send(hello[number : number + 1], socket.MSG_NOSIGNAL)
            except OSError:
                drip.close()
        readable, _, _ = select.select([drip for drip in alive if drip.fileno() >= 0], [], [], PAUSE)
        for drip in readable:
            drip.close()  # an alert, or the end
        if not alive:
            break
    assert all(drip.fileno() < 0 for drip in drips)
    assert time.monotonic() - began < len(hello) * PAUSE * 20


def test_a_caller_whose_socket_changes_hands_while_the_gate_closes_is_not_waited_for(connections):
    caller = connections("127.0.0.2")
    caller.deadline = time.monotonic() + 3600

    class Context:
        """Makes the change of hands take as long as the gate needs to close."""

        def wrap_socket(self, connection, **_):
            secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
            gate.close()
            return secured

    gate = ConnectionGate(10, context=Context, seconds=3600)
    gate.callers.enter(caller)
    assert not gate.secured(caller)
    caller.connection.close()
