"""The pictures of an uploaded file: as it came, as it was analysed, and with what the network saw in it."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from inference import wording
from inference.decision import Analysed
from scp.console import services
from scp.console.drawing import pictures
from scp.console.pages import analyse
from scp.console.reading.upload import Upload, UploadedFile
from scp.console.services import Services
from scp.console.wording import NO_HEATMAP

CACHE_HEADERS: Final = {"Cache-Control": "private, max-age=600"}
"""Pictures do not change under their address: the browser may keep them for this visit."""


class _FileNumber(IntegerConvertor):
    """The number of a file in an address, ``{file:number}``: Python makes no int of thousands of digits."""

    regex = "[0-9]{1,3}"


register_url_convertor("number", _FileNumber())


async def preview(request: Request) -> Response:
    """Return the picture of an uploaded file as soon as it is read."""
    _, file = _file(services.of(request), request)
    if not file.preview.exists():
        raise HTTPException(404, "there is no preview, or not yet")
    return FileResponse(file.preview, media_type="image/jpeg", headers=CACHE_HEADERS)


async def image(request: Request) -> Response:
    """Return the analysed picture without colours."""
    _, file = _file(services.of(request), request)
    if not file.layers.exists():
        raise HTTPException(404, "this file was not analysed")
    drawn = await run_in_threadpool(pictures.plain, file.layers)
    return Response(drawn, media_type="image/jpeg", headers=CACHE_HEADERS)


async def heat(request: Request) -> Response:
    """Return where the network looked in a file that shows a region, to be laid over its picture."""
    node = services.of(request)
    upload, file = _file(node, request)
    finding = await _analysed(node, upload, file)
    if finding.region is None:
        raise HTTPException(404, NO_HEATMAP)
    drawn = await run_in_threadpool(pictures.marked, file.layers, finding)
    return Response(drawn, media_type="image/jpeg", headers=CACHE_HEADERS)


async def download(request: Request) -> Response:
    """Return the heatmap with its legend as a PNG to be kept: the picture that ``analyze`` writes."""
    node = services.of(request)
    upload, file = _file(node, request)
    drawn = await run_in_threadpool(
        pictures.with_legend,
        file.layers,
        await _analysed(node, upload, file),
        caption=wording.PICTURE_FILE if file.source is None else file.source.label,
        signature=wording.signature(node.manifest),
        longest=node.settings.outputs.options().sc_max_side,
    )
    name = f"heatmap-{file.number + 1}.png"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(drawn, media_type="image/png", headers=headers)


async def _analysed(node: Services, upload: Upload, file: UploadedFile) -> Analysed:
    """Return what is said of the file. Raises HTTPException 404 where nothing is, or not yet."""
    studies = await run_in_threadpool(upload.studies, node.rule, node.thresholds)
    outcome = analyse.outcomes(studies).get(file.number)
    if outcome is None or not isinstance(outcome.finding, Analysed) or not file.layers.exists():
        raise HTTPException(404, "this file was not analysed")
    return outcome.finding


def _file(node: Services, request: Request) -> tuple[Upload, UploadedFile]:
    upload = analyse.upload_of(node, request)
    number = request.path_params["file"]
    if number >= len(upload.files):
        raise HTTPException(404, "this upload has no such file")
    return upload, upload.files[number]
