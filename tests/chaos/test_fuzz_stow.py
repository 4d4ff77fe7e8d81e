"""Mutated requests and images through the way in by STOW-RS: an answer each time, nothing left, nothing lost.

A real web server is asked over loopback. What is wrong stands in the images, in the parts of the body, or in
the headers; a request that was cut ends as a sender ends that has died.
"""

import http.client
import json
import os
import random
import time
from collections import Counter

import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from sqlalchemy import select

from scp import logs
from scp.configuration.sections import Log
from scp.network import contexts
from storage.database import schema
from tests.support import audit, logging_state, mutation_seeds, mutations
from tests.support.stow import TOKEN, Way, body, encoded, image, post

CASES = int(os.environ.get("SECONDREAD_FUZZ_CASES", "60"))
SEED = int(os.environ.get("SECONDREAD_CHAOS_SEED", "1"))
ANSWERS = frozenset({200, 202, 400, 401, 404, 409, 413, 415, 431})
"""Kept, some kept, no body in parts, no token, no such place, none kept, too large, another type, headers too
large. 500 would be a fault of the node, and 503 has no cause here."""
KIND = 'multipart/related; type="application/dicom"; boundary=b'
KINDS = (
    KIND,
    "multipart/related; boundary=b",
    "multipart/related; boundary=",
    'multipart/related; boundary="b\\"; type="application/dicom"',
    f"multipart/related; boundary={'b' * 300}",
    "multipart/related; boundary*=utf-8''b",
    "multipart/related; type*0=application; type*1=/dicom; boundary=b",
    "application/dicom",
    "\xff\xfe",
    "",
)
PLACES = ("/studies", "/studies/1.2.3", "/studies/%00", "/studies/..%2f..%2fetc", "/studies/1/2", "/")
SPLICES = (
    b"\r\n--b\r\n",
    b"--b--\r\n",
    b"\r\n--b",
    b"\r\n\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Content-Encoding: gzip\r\n",
    b"\x00" * 9,
    b"X" * 70_000,
)

pytestmark = [
    pytest.mark.timeout(300 + CASES),
    pytest.mark.filterwarnings("ignore"),  # pydicom warns of what was done to the data sets
]


@pytest.fixture
def way(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_TOKEN", "another token")
    monkeypatch.setenv("MODALITY_TOKEN", TOKEN)
    with logging_state.preserved():
        logs.configure(Log(level="error"))
        opened = Way(tmp_path)
        yield opened
        opened.close()


def of_damaged_images(chance, seeds, number):
    return body(*damaged(chance, seeds, number)), KIND, "/studies"


def damaged(chance, seeds, number):
    """One or two images; a UID that came before would have its pixels compared, for a second."""
    return [
        mutations.mutated(chance, *chance.choice(seeds), 2 * number + part)
        for part in range(chance.randint(1, 2))
    ]


def of_damaged_parts(chance, seeds, number):
    whole = bytearray(body(*damaged(chance, seeds, number)))
    for _ in range(chance.randint(1, 3)):
        # near an end: the middle of a body is pixels
        place = chance.choice((chance.randrange(200), max(0, len(whole) - 1 - chance.randrange(40))))
        match chance.randrange(4):
            case 0:
                whole[place : place + chance.randint(1, 9)] = b""
            case 1:
                whole[place:place] = chance.choice(SPLICES)
            case 2:
                whole[place : place + 1] = bytes([chance.randrange(256)])
            case _:
                whole = whole[: chance.randrange(len(whole) + 1)] or whole
    return bytes(whole), KIND, "/studies"


def of_odd_headers(chance, seeds, number):
    return body(*damaged(chance, seeds, number)), chance.choice(KINDS), chance.choice(PLACES)


def status_of(way, content, kind, place, chance):
    """Post ``content`` in pieces, sometimes cut off; return status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", way.server.port, timeout=30)
    try:
        connection.putrequest("POST", place, skip_accept_encoding=True)
        for name, value in (("Authorization", f"Bearer {TOKEN}"), ("Content-Type", kind)):
            connection.putheader(name, value.encode("latin-1"))
        if cut := chance.random() < 0.1:
            connection.putheader("Content-Length", str(len(content) + 1))
        else:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        size = chance.choice((7, 501, 70_000)) if len(content) < 2000 else chance.choice((501, 70_000))
        try:
            for start in range(0, len(content), size):
                piece = content[start : start + size]
                connection.send(piece if cut else b"%x\r\n%s\r\n" % (len(piece), piece))
            if cut:
                return None, b""
            connection.send(b"0\r\n\r\n")
        except ConnectionError:
            pass  # answered before the end, as RFC 9112 9.6 allows
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (ConnectionError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()


def objects_kept(way):
    with way.database.read() as tx:
        return set(tx.execute(select(schema.instances.c.sop_instance_uid)).scalars())


MAMMOGRAMS = frozenset(contexts.IMAGES) - {SecondaryCaptureImageStorage}
"""A capture whose Modality was damaged is foreign, and is dropped with success."""


def promised(answer):
    """UIDs of the mammograms that an answer calls kept."""
    items = json.loads(answer or b"{}").get("00081199", {}).get("Value", [])
    return {item["00081155"]["Value"][0] for item in items if item["00081150"]["Value"][0] in MAMMOGRAMS}


def test_every_request_has_an_answer_and_what_it_calls_kept_is_kept(way, capsys):
    began = time.monotonic()
    chance = random.Random(SEED)  # noqa: S311 - mutations, not secrets
    seeds, answers, faults = mutation_seeds.seeds(), Counter(), []
    assert post(way, body(encoded(image(1))))[0] == 200
    for number in range(CASES):
        make = (of_damaged_images, of_damaged_parts, of_odd_headers)[number % 3]
        content, kind, place = make(chance, seeds, number)
        status, answer = status_of(way, content, kind, place, chance)
        answers[status] += 1
        if status is not None and status not in ANSWERS:
            faults.append(f"case {number} ({make.__name__}) was answered {status}")
        if status in {200, 202} and not promised(answer) <= objects_kept(way):
            faults.append(f"case {number} ({make.__name__}) was promised and is not kept")
    assert post(way, body(encoded(image(2))))[0] == 200
    assert not faults, f"seed {SEED}: {faults}"
    deadline = time.monotonic() + 30
    while way.admission.calling_titles() and time.monotonic() < deadline:
        way.called.wait(0.1)  # the last request that was cut off ends by itself
    assert way.admission.calling_titles() == frozenset()
    assert way.unfinished() == []
    assert way.objects() == 2
    assert way.database.integrity() == "ok"
    assert audit.orphans(way.archive.data_dir) == []
    figures = {
        "test": "fuzz-stow",
        "seed": SEED,
        "cases": CASES,
        "answers": {str(status): count for status, count in sorted(answers.items(), key=str)},
        "seconds": round(time.monotonic() - began, 1),
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes
