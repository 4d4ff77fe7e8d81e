"""Uploads where the disk has no room: a clear sentence, when to come again, and nothing left behind."""

import asyncio
import errno
import json
from types import SimpleNamespace

import pytest
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.console.pages import analyse, predict
from scp.console.reading import uploads
from scp.console.reading.uploads import Uploads
from scp.console.services import Services
from scp.console.visitors import Role, Visitor
from storage.files.folder import FolderArchive

FILE = b"\x89PNG of a breast"
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="left.png"\r\n\r\n'
    + FILE
    + b"\r\n--x--\r\n"
)
LENGTH = len(BODY)
NO_LIMIT = 100_000_000
"""MB: more than any disk here has."""


@pytest.fixture(params=[0])
def node(tmp_path, request):
    settings = Settings(node=Node(data_dir=tmp_path, disk_reserve_mb=request.param))
    every_upload = Uploads(settings)
    every_upload.open()
    return Services(settings=settings, database=None, archive=FolderArchive(tmp_path), uploads=every_upload)


def posted(node, *, length=LENGTH):
    """Return a request with one file, and the messages of its body that are not read yet."""
    pieces = [
        {"type": "http.request", "body": BODY[start : start + 40], "more_body": start + 40 < len(BODY)}
        for start in range(0, len(BODY), 40)
    ]

    async def receive():
        return pieces.pop(0)

    headers = {"content-type": "multipart/form-data; boundary=x", "content-length": str(length)}
    request = Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "app": SimpleNamespace(state=SimpleNamespace(services=node)),
            "state": {"visitor": Visitor(name=None, role=Role.ADMIN, secret="s" * 32)},
        },
        receive,
    )
    return request, pieces


def refused(node, **posting):
    """Return what ``POST /predict`` says, having made sure that it leaves nothing and hears all."""
    request, unread = posted(node, **posting)
    answer = asyncio.run(predict.predict(request))
    assert (answer.status_code, answer.headers["Retry-After"]) == (507, "60")
    assert unread == []
    assert list((node.settings.node.data_dir / uploads.FOLDER).iterdir()) == []
    return json.loads(answer.body)["problem"]


@pytest.mark.parametrize("node", [NO_LIMIT], indirect=True)
def test_the_reserve_of_the_disk_is_not_for_uploads(node):
    words = refused(node)
    assert f"{NO_LIMIT} MB of them are kept for images of peers" in words
    assert "Nothing was kept" in words


def test_an_upload_that_would_use_the_reserve_is_refused_before_it_is_read(node):
    assert "the disk has no room for this" in refused(node, length=10**18)


def test_a_disk_that_fills_meanwhile_leaves_nothing_of_the_upload(node, monkeypatch):
    monkeypatch.setattr(analyse, "file_name", lambda *_: "/dev/full")
    assert refused(node) == (
        "the disk is full. Nothing was kept: try again when the administrator has made room"
    )


def test_a_disk_that_fills_while_the_form_comes_is_told_when_all_of_it_has_come(node, monkeypatch):
    async def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(UploadFile, "write", write)
    assert refused(node).startswith("the disk is full. Nothing was kept")


@pytest.mark.parametrize("node", [NO_LIMIT], indirect=True)
def test_the_page_says_the_same(node):
    request, unread = posted(node)
    with pytest.raises(HTTPException, match="the disk has no room for this") as refusal:
        asyncio.run(analyse.receive(request))
    assert (refusal.value.status_code, refusal.value.headers) == (507, {"Retry-After": "60"})
    assert unread == []
