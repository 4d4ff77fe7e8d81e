"""One study: its images with their heatmaps, scores, report, deliveries and history."""

from __future__ import annotations

import io
import zipfile
from typing import Final

import structlog
from pydicom.errors import InvalidDicomError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from inference import wording as result_words
from inference.decision import Analysed
from inference.findings import CLASSES
from scp.console import examined, rendering, services, visitors
from scp.console.drawing import pictures, report
from scp.console.pages import identities, outcomes
from scp.console.pages import studies as listing
from scp.console.services import Services
from scp.console.visitors import Role
from scp.console.wording import COMMITMENTS, DELIVERIES, NO_HEATMAP
from scp.operating import retry
from storage import history
from storage.overview import deliveries, studies
from storage.overview.studies import StudyOverview
from storage.queue import arrivals, study_changes
from storage.records import ResultObject

log = structlog.get_logger(__name__)

UID_LENGTH: Final = 64
PICTURES_KEPT: Final = {"Cache-Control": "private, max-age=600"}
"""The page names pictures by what they depend on: the browser may keep them for this visit."""


def show(request: Request) -> Response:
    """Return the page of one study."""
    node = services.of(request)
    study = _study(node, request)
    with node.database.read() as tx:
        entries = deliveries.of_study(tx, study.study_uid)
        events = history.of(tx, study.study_uid)
        results = deliveries.current_results(tx, study.study_uid)
    read = examined.examine(node, study.study_uid)
    identity_shown = identities.may_show(request, [study.study_uid], query=request.query_params)
    return rendering.page(
        request,
        "study.html",
        {
            "line": listing.line(node, study),
            "done": _outcome(request),
            "study": read,
            "entries": entries,
            "events": events,
            "objects": results,
            "report": _report(node, results),
            "identity": identities.rows(read.header) if identity_shown and read.header else None,
            "Analysed": Analysed,
            "classes": CLASSES,
            "breast_name": lambda breast: result_words.breast_name(
                breast.side, breast.views, standard=breast.standard
            ),
            "delivery_words": DELIVERIES,
            "commitment_words": COMMITMENTS,
        },
    )


def image(request: Request) -> Response:
    """Return the picture of one image, without colours."""
    node = services.of(request)
    study = _study(node, request)
    with node.database.read() as tx:
        instances = arrivals.images(tx, study.study_uid)
    files = {
        instance.sop_instance_uid: record.heatmap for instance, record in instances if record is not None
    }
    if (file := files.get(request.path_params["image"])) is None:
        raise HTTPException(404, "there is no picture of this image")
    drawn = pictures.plain(node.archive.path(file))
    return Response(drawn, media_type="image/jpeg", headers=PICTURES_KEPT)


def heat(request: Request) -> Response:
    """Return where the network looked in one image that shows a region, to be laid over its picture."""
    node = services.of(request)
    study = _study(node, request)
    image = examined.examine(node, study.study_uid).image(request.path_params["image"])
    if image is None or image.layers is None or not isinstance(image.result, Analysed):
        raise HTTPException(404, "there is no picture of this image")
    if image.result.region is None:
        raise HTTPException(404, NO_HEATMAP)
    drawn = pictures.marked(image.layers, image.result)
    return Response(drawn, media_type="image/jpeg", headers=PICTURES_KEPT)


def download(request: Request) -> Response:
    """Return the current results of a study in one ZIP file."""
    visitors.require(request, Role.OPERATOR)
    node = services.of(request)
    study = _study(node, request)
    with node.database.read() as tx:
        results = deliveries.current_results(tx, study.study_uid)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:  # DICOM objects with pictures do not get smaller
        for result in results:
            bundle.write(node.archive.path(result.file), f"{result.kind}-{result.sop_instance_uid}.dcm")
    name = f"results-{study.study_uid}.zip"
    return Response(
        file.getvalue(),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def download_object(request: Request) -> Response:
    """Return one current result of a study as a DICOM file."""
    visitors.require(request, Role.OPERATOR)
    node = services.of(request)
    study = _study(node, request)
    with node.database.read() as tx:
        results = deliveries.current_results(tx, study.study_uid)
    uid = request.path_params["object"]
    result = next((result for result in results if result.sop_instance_uid == uid), None)
    if result is None:
        raise HTTPException(404, "this study has no such result")
    return FileResponse(
        node.archive.path(result.file), media_type="application/dicom", filename=f"{result.kind}-{uid}.dcm"
    )


async def retry_study(request: Request) -> Response:
    """Let what is parked of the study start over, and what waits for its time be due now."""
    visitors.require(request, Role.OPERATOR)
    await visitors.check_form(request)
    node = services.of(request)
    study = await run_in_threadpool(_study, node, request)
    back = await run_in_threadpool(
        retry.bring_back, node.database, study_uid=study.study_uid, destination=None, now=node.now()
    )
    return RedirectResponse(outcomes.address(f"/studies/{study.study_uid}", back), 303)


async def analyse_study(request: Request) -> Response:
    """Let the study be analysed once more."""
    visitors.require(request, Role.OPERATOR)
    await visitors.check_form(request)
    node = services.of(request)
    study = await run_in_threadpool(_study, node, request)

    def change() -> int:
        with node.database.write() as tx:
            return study_changes.analyse_again(tx, study.study_uid, now=node.now())

    number = await run_in_threadpool(change)
    return RedirectResponse(f"/studies/{study.study_uid}?again={number}", 303)


def _outcome(request: Request) -> str | None:
    """Return what the button has done that led to this page."""
    query = request.query_params
    if "again" in query:
        if (number := outcomes.number(query["again"])) == 0:
            return (
                "No image of this study is here to be analysed, or their pixels were removed after their "
                "time: send it again, then it is analysed."
            )
        images = "1 image is" if number == 1 else f"{number} images are"
        return f"{images} analysed again. Results that come out the same are not sent again."
    return outcomes.sentence(query)


def _study(node: Services, request: Request) -> StudyOverview:
    """Return the study of the address. Raises HTTPException 404."""
    uid = request.path_params["study"][:UID_LENGTH]
    with node.database.read() as tx:
        overviews = studies.overview(tx, study_uid=uid)
    if not overviews:
        raise HTTPException(
            404, "this node has no such study: it never came in, or was removed after its time"
        )
    return overviews[0]


def _report(node: Services, results: list[ResultObject]) -> report.Item | None:
    document = next((result for result in results if result.kind == "SR"), None)
    if document is None:
        return None
    try:
        return report.read(node.archive.path(document.file))
    except (OSError, InvalidDicomError) as error:
        log.warning("report cannot be shown", reason=type(error).__name__)
        return None
