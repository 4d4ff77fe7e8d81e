"""Analyse a file: choose or drop images, see them at once, and what the network says of them."""

from __future__ import annotations

import contextlib
import errno
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from inference import wording as results
from inference.decision import Analysed
from inference.findings import CLASSES
from scp.console import rendering, services, visitors
from scp.console.reading import uploads
from scp.console.reading.upload import Step, Upload, file_name
from scp.console.reading.uploads import Busy, Uploads
from scp.console.services import Services
from scp.console.visitors import Role
from scp.console.wording import PLAIN
from scp.operating.analyze_study import Outcome, ReadStudy

FIELD: Final = "image"
NAME_LENGTH: Final = 120
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
AGAIN: Final = {"Retry-After": "60"}
"""Sent with what may be tried again."""


async def show(request: Request) -> Response:
    """Return the page with the form."""
    visitor = visitors.require(request, Role.VIEWER)
    node = services.of(request)
    earlier = node.uploads.of_owner(visitor.secret)
    return rendering.page(request, "analyse.html", {"earlier": earlier, **_explained(node)})


async def receive(request: Request) -> Response:
    """Take an upload; answer with the page that shows what becomes of it."""
    visitor = visitors.require(request, Role.VIEWER)
    node = services.of(request)
    try:
        form = await read_form(request, node.uploads)
        await visitors.check_form(request)
        upload = await take(node.uploads, form, visitor.secret)
    except Busy as busy:
        raise HTTPException(busy.status, str(busy), headers=AGAIN) from busy
    finally:
        await request.close()
    address = f"/analyse/{upload.key}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"address": address}, status_code=201)
    return RedirectResponse(address, 303)


async def read_form(request: Request, store: Uploads) -> FormData:
    """Return the form that is sent. Raises Busy, before anything is written where it can be known before."""
    size = request.headers.get("content-length")  # the guard has refused what is no number
    try:
        with store.room(None if size is None else int(size)):
            return await request.form()
    except Busy:
        await _listen_to_the_end(request)
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        await _listen_to_the_end(request)
        raise _no_room() from error


async def _listen_to_the_end(request: Request) -> None:
    """Take in and forget what is sent: a client that still sends sees no answer, but a broken connection."""
    # a stream that has been read to its end says so by RuntimeError
    with contextlib.suppress(RuntimeError, ClientDisconnect):
        async for _ in request.stream():
            pass


def _no_room() -> Busy:
    return Busy(
        "the disk is full. Nothing was kept: try again when the administrator has made room",
        status=HTTPStatus.INSUFFICIENT_STORAGE,
    )


async def take(store: Uploads, form: FormData, owner: str) -> Upload:
    """Keep the files of ``form`` and begin to read them. Raises HTTPException 400, Busy; then keeps none."""
    parts = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
    files = [part for part in parts if part.filename]
    if not parts:
        raise HTTPException(400, f"no file in the field {FIELD}: send DICOM, PNG or JPEG files there")
    if not files:
        raise HTTPException(400, "no file was chosen: choose a DICOM, PNG or JPEG file")
    if len(files) > uploads.MOST_FILES:
        raise HTTPException(400, f"at most {uploads.MOST_FILES} files are taken at once")
    names = [Path(file.filename or "").name[-NAME_LENGTH:] for file in files]
    with store.places(len(files)):
        folder = store.new_folder()
        with contextlib.ExitStack() as undoing:
            undoing.callback(shutil.rmtree, folder, ignore_errors=True)
            for number, file in enumerate(files):
                await run_in_threadpool(_copy, file, folder / file_name(number, names[number]))
            undoing.pop_all()
        return store.begin(owner, folder, names)


async def follow(request: Request) -> Response:
    """Return the page of one upload, or its part that changes where a script asks for it."""
    node = services.of(request)
    upload = upload_of(node, request)
    name = "upload_live.html" if "fragment" in request.query_params else "upload.html"
    studies = await _studies(node, upload)
    context = {
        "upload": upload,
        "files": _views(node, upload, studies),
        "breasts": _breasts(studies),
        **_explained(node),
    }
    headers = {"X-Ended": "1" if upload.ended else "0"}
    return rendering.page(request, name, context, headers=headers)


async def _studies(node: Services, upload: Upload) -> list[ReadStudy]:
    """Return what was read, and no less than the steps say: a file that ended meanwhile had no result."""
    while True:
        steps = [file.step for file in upload.files]
        studies = await run_in_threadpool(upload.studies, node.rule, node.thresholds)
        if steps == [file.step for file in upload.files]:
            return studies


async def forget(request: Request) -> Response:
    """Remove an upload before its time."""
    await visitors.check_form(request)
    node = services.of(request)
    node.uploads.forget(upload_of(node, request))
    return RedirectResponse("/analyse", 303)


def outcomes(studies: list[ReadStudy]) -> dict[int, Outcome]:
    """Return what became of each file, by its number."""
    return {int(file.path.name.partition(" ")[0]): file for study in studies for file in study.files}


def _views(node: Services, upload: Upload, studies: list[ReadStudy]) -> list[dict[str, object]]:
    """Return what the page shows of each file."""
    by_number = outcomes(studies)
    waiting = [file.number for file in upload.files if file.step is Step.WAITING]
    return [
        {
            "file": file,
            "outcome": by_number.get(file.number),
            "analysed": isinstance(getattr(by_number.get(file.number), "finding", None), Analysed),
            "percent": node.uploads.percent(file),
            "before": max(0, node.uploads.analyses.waiting - len(waiting) + waiting.index(file.number))
            if file.step is Step.WAITING
            else 0,
            "rests": file.step is Step.ANALYSING and node.uploads.analyses.rests,
            "preview": file.preview.exists(),
        }
        for file in upload.files
    ]


def _breasts(studies: list[ReadStudy]) -> list[dict[str, object]]:
    """Return the breasts of the studies whose images were read together."""
    return [
        {
            "name": results.breast_name(breast.side, breast.views, standard=breast.standard),
            "decision": breast.decision,
            "views": ", ".join(map(results.view_name, breast.views)),
        }
        for study in studies
        if study.examination is not None
        for breast in study.examination.breasts
        if len(breast.images) > 1
    ]


def _explained(node: Services) -> dict[str, object]:
    """Return what every page about classes shows."""
    return {
        "classes": CLASSES,
        "plain": PLAIN,
        "meanings": node.manifest.meanings,
        "most_files": uploads.MOST_FILES,
        "upload_mb": node.settings.console.upload_mb,
        "minutes": node.settings.console.session_minutes,
        "Step": Step,
    }


def upload_of(node: Services, request: Request) -> Upload:
    """Return the upload of the address. Raises HTTPException 404 where it is not the visitor's own."""
    upload = node.uploads.find(request.path_params["upload"], visitors.of(request).secret)
    if upload is None:
        raise HTTPException(404, "this upload is forgotten, or was not yours: choose the files again")
    return upload


def _copy(file: UploadFile, target: Path) -> None:
    """Move what was received to its own file, in pieces. Raises Busy where the disk is full."""
    try:
        with target.open("wb") as copy:
            while piece := file.file.read(1 << 20):
                copy.write(piece)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _no_room() from error
