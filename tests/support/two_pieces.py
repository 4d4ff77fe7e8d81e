"""A peer that writes the head of each unit by itself, as DCMTK does, and takes C-ECHO."""

import time
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

DCMTK_HEAD = 12
"""Bytes of its first piece: the head of a P-DATA-TF with that of its value."""


@contextmanager
def verification_scp(head=DCMTK_HEAD):
    """Run such a peer, whose first pieces have so many bytes; gives its port."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context(Verification)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_CONN_OPEN, _write_in_two_pieces, [head])]
    )
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def quickest_echo(association):
    """Return the seconds of the quickest of the later C-ECHOs of ``association``, which it releases.

    Of the first ones Linux acknowledges everything at once.
    """
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        assert association.send_c_echo().Status == 0x0000
        seconds.append(time.perf_counter() - began)
    association.release()
    return min(seconds[10:])


def _write_in_two_pieces(event, head):
    wrapper = event.assoc.dul.socket
    whole = wrapper.send

    def send(unit):
        whole(unit[:head])
        whole(unit[head:])

    wrapper.send = send
