"""Uploads: files of one visitor, read in the background, forgotten with the session.

They lie in a folder of their own in the data directory, under names that we choose. Nothing of them is sent
anywhere, and no row of the database knows them. When the console starts, what an earlier one left is removed.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog

from inference import findings
from inference.errors import InferenceError
from inference.findings import AnalysisStatus, Finding, NotAnalysed
from inference.reading.mammogram import SourceImage
from scp.configuration.settings import Settings
from scp.console.reading.reader import ANALYSE, PREVIEW, Reader, ReaderError
from scp.console.reading.rest import Reception
from scp.console.reading.upload import Step, Upload, UploadedFile, file_name
from scp.operating import analyze_files

log = structlog.get_logger(__name__)

FOLDER: Final = "uploads"
MOST_FILES: Final = 32
"""Of one upload."""
MOST_WAITING: Final = 64
"""Files that may be unread, of all visitors; who comes then is asked to come again."""
ANALYSIS_REST_SECONDS: Final = 20.0
"""How much longer an analysis may take because images are received: those of a study come in sooner."""
PREVIEW_REST_SECONDS: Final = 2.0
"""The same of a preview, for which a visitor waits."""
HEADERS_AT_ONCE: Final = 2
"""A header may take 100 MB of memory while it is read."""
MEGABYTE: Final = 1_000_000
LOOK_SECONDS: Final = 20.0
"""How often it is looked which sessions are over."""


class Busy(Exception):  # noqa: N818 - not an error of ours
    """No more files are taken now: so many wait already, or the disk has no room for them."""

    def __init__(self, words: str, *, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        super().__init__(words)
        self.status = status


class Uploads:
    """The uploads of all visitors. Lives in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.root = settings.node.data_dir / FOLDER
        """Where the files lie, and nowhere else."""
        self._uploads: dict[str, Upload] = {}
        self._coming = 0
        """Bytes of the uploads that come in now."""
        self._promised = 0
        """Files for which there is a place, and that are not among the uploads yet."""
        self._headers = asyncio.Semaphore(HEADERS_AT_ONCE)
        reception = Reception(settings.node.data_dir)
        self._previews = Reader(settings, reception, most_rest=PREVIEW_REST_SECONDS)
        self.analyses = Reader(settings, reception, most_rest=ANALYSIS_REST_SECONDS)

    def open(self) -> None:
        """Make the folder, empty."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def close(self) -> None:
        """Forget everything and end the readers."""
        for upload in list(self._uploads.values()):
            self.forget(upload)
        await self._previews.stop()
        await self.analyses.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    async def watch(self) -> None:
        """Forget what belongs to sessions that are over, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            silent = time.monotonic() - 60 * self._settings.console.session_minutes
            for upload in [upload for upload in self._uploads.values() if upload.touched < silent]:
                self.forget(upload)

    @contextmanager
    def room(self, size: int | None) -> Iterator[None]:
        """Let an upload of ``size`` bytes come in meanwhile; None: nobody knows. Raises Busy where none may.

        The reserve of the disk is for what peers send: they lose an image that finds no room, a visitor
        chooses the file again.
        """
        if self.waiting >= MOST_WAITING:
            raise Busy(f"{self.waiting} files wait to be analysed: try again in a minute")
        size = self._settings.console.upload_mb * MEGABYTE if size is None else size
        free, reserve = shutil.disk_usage(self.root).free // MEGABYTE, self._settings.node.disk_reserve_mb
        if free - (self._coming + size) // MEGABYTE < reserve:
            raise Busy(
                f"the disk has no room for this: {free} MB are free, and {reserve} MB of them are kept for "
                "images of peers. Nothing was kept: try again when the administrator has made room",
                status=HTTPStatus.INSUFFICIENT_STORAGE,
            )
        self._coming += size
        try:
            yield
        finally:
            self._coming -= size

    @property
    def waiting(self) -> int:
        """Files that have come, of all visitors, and are not read to their end."""
        unread = (file.step is not Step.ENDED for upload in self._uploads.values() for file in upload.files)
        return self._promised + sum(unread)

    @contextmanager
    def places(self, number: int) -> Iterator[None]:
        """Keep places for ``number`` files until their upload has begun. Raises Busy where there are none."""
        if self.waiting + number > MOST_WAITING:
            raise Busy(
                f"{self.waiting} files wait to be analysed, and {MOST_WAITING} may: try again in a minute"
            )
        self._promised += number
        try:
            yield
        finally:
            self._promised -= number

    def new_folder(self) -> Path:
        """Return an empty folder for an upload."""
        folder = self.root / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        return folder

    def begin(self, owner: str, folder: Path, names: Sequence[str]) -> Upload:
        """Read the files of ``folder``, named by `file_name`, in the background; ``names`` are their own."""
        files = [
            UploadedFile(
                number=number,
                name=name,
                path=folder / file_name(number, name),
                preview=folder / f"{number}.jpg",
                layers=folder / f"{number}.png",
            )
            for number, name in enumerate(names)
        ]
        upload = Upload(
            key=secrets.token_urlsafe(12), owner=owner, folder=folder, files=files, touched=time.monotonic()
        )
        self._uploads[upload.key] = upload
        for file in files:
            upload.tasks.append(asyncio.create_task(self._show(file)))
            upload.tasks.append(asyncio.create_task(self._analyse(file)))
        return upload

    def find(self, key: str, owner: str) -> Upload | None:
        """Return the upload if it is there and the visitor's own."""
        upload = self._uploads.get(key)
        if upload is None or not secrets.compare_digest(upload.owner, owner):
            return None
        upload.touched = time.monotonic()
        return upload

    def of_owner(self, owner: str) -> list[Upload]:
        """Return the visitor's uploads, the latest first."""
        return [upload for upload in reversed(self._uploads.values()) if upload.owner == owner]

    def forget(self, upload: Upload) -> None:
        """Remove the files of ``upload`` and all that is known of them."""
        self._uploads.pop(upload.key, None)
        for task in upload.tasks:
            task.cancel()
        shutil.rmtree(upload.folder, ignore_errors=True)

    def percent(self, file: UploadedFile) -> int:
        """Return how far the analysis of ``file`` is likely to be: nobody knows it exactly."""
        match file.step:
            case Step.WAITING:
                return 5
            case Step.ANALYSING:
                share = self.analyses.worked_seconds / max(0.1, self.analyses.expected_seconds)
                return min(95, 10 + int(85 * share))
            case Step.ENDED:
                return 100

    async def _show(self, file: UploadedFile) -> None:
        """Make the preview; without one the page says so by its absence, and the analysis says why."""
        partial = file.preview.with_suffix(".part")
        try:
            await self._previews.ask({"do": PREVIEW, "file": str(file.path), "to": str(partial)})
            partial.rename(file.preview)
        except (ReaderError, OSError) as error:
            log.info("no preview of an uploaded file", reason=str(error))

    async def _analyse(self, file: UploadedFile) -> None:
        try:
            async with self._headers:
                file.source = await asyncio.to_thread(self._header, file.path)
            file.finding = await self._finding(file)
        except (ReaderError, InferenceError) as error:
            file.finding = NotAnalysed(status=AnalysisStatus.FAILED, reason=str(error))
        except OSError as error:
            reason = f"the file cannot be read ({error.strerror or error})"
            file.finding = NotAnalysed(status=AnalysisStatus.FAILED, reason=reason)
        finally:
            file.step = Step.ENDED

    async def _finding(self, file: UploadedFile) -> Finding:
        question = {"do": ANALYSE, "file": str(file.path), "to": str(file.layers)}
        answer = await self.analyses.ask(question, began=lambda: _begin(file))
        file.seconds = float(answer["seconds"])
        return findings.load(answer["finding"])

    def _header(self, path: Path) -> SourceImage | None:
        return analyze_files.header(path, self._settings.node.reading())


def _begin(file: UploadedFile) -> None:
    file.step = Step.ANALYSING
