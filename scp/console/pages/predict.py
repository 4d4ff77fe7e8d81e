"""``POST /predict``: one image or several in, JSON out, with the fields of ``analyze --json``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inference.findings import CLASSES
from scp import product
from scp.console import rendering, services, visitors
from scp.console.pages import analyse
from scp.console.reading.upload import Upload
from scp.console.reading.uploads import Busy
from scp.console.services import Services
from scp.console.visitors import Role
from scp.operating import analyze_lines
from scp.operating.analyze_study import ReadStudy

NULLABLE_TEXT: Final = {"type": ["string", "null"]}


async def predict(request: Request) -> Response:
    """Analyse the files of the field ``image`` and forget them."""
    visitor = visitors.require(request, Role.VIEWER)
    node = services.of(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _problem(415, "send multipart/form-data with the file in the field image")
    try:
        form = await analyse.read_form(request, node.uploads)
        upload = await analyse.take(node.uploads, form, visitor.secret)
    except Busy as busy:
        return _problem(busy.status, str(busy), analyse.AGAIN)
    except HTTPException as refusal:
        return _problem(refusal.status_code, refusal.detail)
    finally:
        await request.close()
    try:
        await asyncio.gather(*upload.tasks)
        studies = await run_in_threadpool(upload.studies, node.rule, node.thresholds)
        return JSONResponse(_answer(node, upload, studies))
    finally:
        node.uploads.forget(upload)


def openapi(request: Request) -> Response:
    """Return the description of this interface for programs (OpenAPI 3.1)."""
    return JSONResponse(description(services.of(request).settings.console.upload_mb))


def documentation(request: Request) -> Response:
    """Return the description of this interface for people."""
    schemas = description(services.of(request).settings.console.upload_mb)["components"]["schemas"]
    return rendering.page(request, "api.html", {"schemas": schemas, "address": request.base_url})


def _answer(node: Services, upload: Upload, studies: list[ReadStudy]) -> dict[str, object]:
    outcomes = analyse.outcomes(studies)
    named = [replace(outcomes[file.number], path=Path(file.name)) for file in upload.files]
    return {
        "files": [analyze_lines.fields(outcome, node.manifest) for outcome in named],
        "breasts": [
            analyze_lines.breast_fields(breast, study.uid)
            for study in studies
            if study.examination is not None
            for breast in study.examination.breasts
        ],
    }


def _problem(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"problem": words}, status_code=status, headers=headers)


@cache
def description(upload_mb: int) -> dict[str, Any]:
    """Return the OpenAPI document."""
    problem = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SecondRead",
            "version": product.__version__,
            "description": "Analyse mammograms. Investigational, not for diagnostic use.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Analyse DICOM, PNG or JPEG files; nothing of them is kept.",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/Images"}}
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "What was found, also where a file could not be analysed.",
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}
                            },
                        },
                        "400": {"description": "No file, or too many.", **problem},
                        "401": {"description": "The console has users: send a token.", **problem},
                        "403": {"description": "A page of another site has sent it.", **problem},
                        "408": {"description": "The files took too long to come.", **problem},
                        "413": {"description": f"More than {upload_mb} MB.", **problem},
                        "415": {"description": "No multipart form, or its charset is not taken.", **problem},
                        "421": {"description": "The console is not called by this host name.", **problem},
                        "503": {
                            "description": "Too many files wait, or the console ends: come again.",
                            **problem,
                        },
                        "507": {"description": "The disk has no room for it now: come again.", **problem},
                    },
                }
            }
        },
        "security": [{}, {"token": []}],
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    score = {"type": "number", "minimum": 0, "maximum": 1}
    point = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    return {
        "Images": {
            "type": "object",
            "required": ["image"],
            "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        },
        "Answer": {
            "type": "object",
            "required": ["files", "breasts"],
            "properties": {
                "files": {"type": "array", "items": {"$ref": "#/components/schemas/File"}},
                "breasts": {"type": "array", "items": {"$ref": "#/components/schemas/Breast"}},
            },
        },
        "File": {
            "type": "object",
            "properties": {
                "file": {"type": "string", "description": "Its name, as it was sent."},
                "status": {"type": "string", "enum": list(analyze_lines.WORDS.values())},
                "reason": NULLABLE_TEXT | {"description": "Why it was not analysed."},
                "laterality": NULLABLE_TEXT | {"description": "R, L or B, from a DICOM header."},
                "view": NULLABLE_TEXT | {"description": "CC, MLO, … from a DICOM header."},
                "label": NULLABLE_TEXT | {"description": "The class of the breast."},
                "probabilities": {
                    "type": ["object", "null"],
                    "description": "The four scores of the image.",
                    "properties": {key.label: score for key in CLASSES},
                },
                "malignant_at_operating_point": {
                    "type": ["boolean", "null"],
                    "description": "Whether the breast is flagged.",
                },
                "explained": NULLABLE_TEXT | {"description": "The class that the heatmap explains."},
                "peak": {"anyOf": [point, {"type": "null"}], "description": "Column and row in pixels."},
                "region": {
                    "type": ["object", "null"],
                    "description": "Where the network looked: an ellipse, in pixels.",
                    "properties": {
                        "center": point,
                        "ellipse": {"type": "array", "items": point, "minItems": 4, "maxItems": 4},
                    },
                },
                "model": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
                },
                "seconds": {"type": "number"},
            },
        },
        "Breast": {
            "type": "object",
            "properties": {
                "study": NULLABLE_TEXT | {"description": "Study Instance UID."},
                "laterality": NULLABLE_TEXT,
                "views": {"type": "array", "items": NULLABLE_TEXT},
                "malignant": score | {"description": "Mean of its views."},
                "flagged": {"type": "boolean"},
                "threshold": score | {"description": "From here on it is flagged."},
                "percentile": {"type": ["integer", "null"]},
                "label": NULLABLE_TEXT,
            },
        },
        "Problem": {"type": "object", "properties": {"problem": {"type": "string"}}},
    }
