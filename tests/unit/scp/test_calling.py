"""Why no association came about: each reason has its sentence, and every one means "again, later"."""

import socket
import threading

import pytest

from scp import calling, contexts
from scp.calling import Unreachable
from scp.config import Delivery, Peer, Settings
from tests.support.peers import free_port


def call(host, port):
    peer = Peer(ae_title="PACS", host=host, port=port)
    delivery = Delivery(connect_timeout_seconds=5, answer_timeout_seconds=5)
    settings = Settings(peers=(peer,), delivery=delivery)
    return calling.associate(settings, peer, [contexts.commitment()])


def test_host_name_that_nobody_knows_is_named(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"host name 'pacs\.invalid' of PACS is unknown to this machine"):
        call("pacs.invalid", 104)


def test_port_where_nobody_listens_is_told_from_an_abort():
    with pytest.raises(Unreachable, match="nothing answers there"):
        call("127.0.0.1", free_port())


def test_peer_that_hangs_up_is_told_from_one_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=hang_up, args=(listening,))
        thread.start()
        with pytest.raises(
            Unreachable, match=r"aborted the association or did not answer.*want TLS at this port"
        ):
            call(*listening.getsockname())
        thread.join()


def hang_up(listening):
    connection, _ = listening.accept()
    connection.recv(1)
    connection.close()
