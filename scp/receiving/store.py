"""One received file → kept or refused. Success means that file and row are both committed.

Knows no network: a path and two names come in, an answer goes out. `scp.receiving.listener` translates.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from inference.reading import attributes, damage, mammogram, objections
from inference.reading.options import DEFAULT, ReadingOptions
from inference.results.identity import Device
from scp import product
from scp.configuration.settings import Settings
from scp.network import contexts
from scp.network.pynetdicom_fixes.streamed_digest import PixelDigest
from scp.network.status import Foreign, OtherPatient, OtherPixels, OutOfResources, Unreadable
from scp.receiving import dataset, identities, pixel_comparison
from scp.receiving.dataset import Incoming
from storage.database.engine import Database
from storage.errors import DatabaseError
from storage.files.archive import Archive
from storage.queue import arrivals, copies, patients
from storage.records import Arrival, ArrivalOutcome, Instance

log = structlog.get_logger(__name__)

OF_ANOTHER_PATIENT: Final = "SOP Instance or Study is kept under another patient already"


class _OwnResultError(Exception):
    """A result of a SecondRead node came back; the message is its SOP Instance UID."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """Keeps what comes in, or raises a `scp.network.status.Refusal` that says why not."""

    database: Database
    archive: Archive
    device: Device
    disk_reserve: int
    """Bytes that must stay free: below them nothing is kept."""
    destinations: Callable[[str], Sequence[str]]
    """Where results go for what a calling AE title sends."""
    takes: Callable[[str, str], bool]
    """Whether a destination is sent results of a kind."""
    same_pixels: Callable[[Path, Path], bool]
    """Whether two files that differ in transfer syntax hold the same pixels."""
    now: Callable[[], datetime]
    arrived: Callable[[], None]
    """Called after something new is kept: there is work."""
    reading: ReadingOptions = DEFAULT
    """How headers are understood where they leave a choice."""
    locks: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(64))
    )
    """One instance is received by one thread at a time; a UID always meets the same lock."""

    def keep(
        self, path: Path, *, calling_ae: str, pixels: PixelDigest | None = None
    ) -> ArrivalOutcome | None:
        """Keep the file at ``path``, which the caller may delete afterwards; ``pixels`` as in `dataset.read`.

        Returns what became of it, or None for a result of this node that came back: dropped, with success.
        A return means committed; a raised `Refusal` means that nothing was changed. `Foreign` is raised for
        what is no mammogram: how that is answered, the configuration says.
        """
        try:
            return self._keep(path, calling_ae, pixels)
        except MemoryError as error:
            log.error("no memory to receive an instance, store refused", peer=calling_ae)  # noqa: TRY400
            raise OutOfResources("node has no memory for it now, try again later") from error

    def _keep(self, path: Path, calling_ae: str, pixels: PixelDigest | None) -> ArrivalOutcome | None:
        try:
            received = self._read(path, pixels)
        except _OwnResultError as own:
            log.info("own result dropped", sop_instance_uid=str(own), peer=calling_ae)
            return None
        outcome = self._record(received, calling_ae)
        if outcome in (ArrivalOutcome.NEW, ArrivalOutcome.HEADER_CHANGED):
            self.arrived()
        return outcome

    def _read(self, path: Path, pixels: PixelDigest | None) -> Incoming:
        """Read what was received; room on the disk is asked for only where something would be kept.

        Raises _OwnResultError, Foreign, and what `dataset.read` raises.
        """
        command = dataset.command(path)
        named = command.sop_class
        if named in contexts.IMAGES:
            self._check_room()
        try:
            return dataset.read(path, lambda header: self._examine(header, named), pixels, command)
        except Unreadable as error:
            if named not in contexts.IMAGES:
                raise Foreign(_not_a_mammogram(named)) from error
            raise

    def _examine(self, header: Dataset, named: str) -> None:
        """Raise what ends the reception of ``header``, whose C-STORE request ``named`` its class.

        One that is a mammogram by its request and none by its header, or the reverse, is not foreign: it is
        refused for that, so that no mammogram is dropped.
        """
        if self._is_ours(header):
            raise _OwnResultError(attributes.text(header, "SOPInstanceUID"))
        written = attributes.text(header, "SOPClassUID")
        if {named, written} == {SecondaryCaptureImageStorage} and not objections.is_mammogram(header):
            raise Foreign(_not_a_mammogram(named))
        if not {named, written} & set(contexts.IMAGES):
            raise Foreign(_not_a_mammogram(named))

    def _check_room(self) -> None:
        """Raise OutOfResources where nothing can be kept now: no room, or no database."""
        self._check_database()
        free = self.archive.free_bytes()
        if free < self.disk_reserve:
            log.error("disk reserve reached, store refused", free_bytes=free, reserve_bytes=self.disk_reserve)
            raise OutOfResources("disk reserve of the node reached, try again later")

    def _check_database(self, *, written: bool = False) -> None:
        """Raise OutOfResources where the database is no more in its place: a row of it would be lost."""
        try:
            self.database.check_place(written=written)
        except DatabaseError as error:
            raise OutOfResources("database of the node is gone, try again later") from error

    def _is_ours(self, header: Dataset) -> bool:
        """Tell whether this is a result of a SecondRead node: they are never analysed again."""
        maker = tuple(
            attributes.value(header, keyword) for keyword in ("Manufacturer", "ManufacturerModelName")
        )
        return maker == (self.device.manufacturer, self.device.model_name)

    def _record(self, received: Incoming, calling_ae: str) -> ArrivalOutcome:
        try:
            image = mammogram.describe(received.header, self.reading)
            arrival = dataset.arrival(received, image, calling_ae)
        except damage.UNREADABLE_DATA_SET as error:
            raise Unreadable(f"header cannot be understood ({type(error).__name__})") from error
        with self.locks[hash(arrival.sop_instance_uid) % len(self.locks)]:
            with self.database.read() as tx:
                instance = arrivals.find(tx, arrival.sop_instance_uid)
                contradiction = patients.contradicts(tx, instance, arrival)
                identity_file = copies.identity_file(tx, image.study_digest)
            if contradiction:
                self._refuse_other_patient(instance, arrival)
            arrival = self._file(self._recognise(arrival, instance, received.path), received)
            identity = identities.keep_beside(image, identity_file, self.archive)
            with self.database.write() as tx:
                entry = arrivals.record(
                    tx,
                    arrival,
                    identity=identity,
                    destinations=self.destinations(calling_ae),
                    takes=self.takes,
                    now=self.now(),
                )
                if not all(map(self.archive.holds, (arrival.file, identity))):
                    # retention forgot this very instance between the lines above: let the peer send again
                    raise FileNotFoundError(f"instance {arrival.sop_instance_uid} was being forgotten")
            self._check_database(written=True)
            self._remove(entry.replaced_files)
            if entry.identity is not None:
                identities.remove(entry.identity, self.database, self.archive)
        if entry.outcome is ArrivalOutcome.OTHER_PATIENT:
            raise OtherPatient(OF_ANOTHER_PATIENT)
        if entry.outcome is ArrivalOutcome.CONFLICT:
            # nobody has compared its pixels with those that another process has kept just now
            raise OutOfResources("another process keeps this instance just now, try again later")
        log.info(
            "instance received",
            outcome=entry.outcome.value,
            sop_instance_uid=arrival.sop_instance_uid,
            study=arrival.study_uid,
            peer=calling_ae,
            bytes=received.size,
        )
        return entry.outcome

    def _remove(self, replaced_files: Sequence[str]) -> None:
        """Remove files that were replaced; another process may have received one of them again just now."""
        if replaced_files:
            with self.database.write() as tx:
                for file in arrivals.unneeded(tx, replaced_files):
                    self.archive.remove(file)

    def _file(self, arrival: Arrival, received: Incoming) -> Arrival:
        """Bring to the archive what is kept of ``received``; return ``arrival`` with its file.

        Of tomosynthesis that is the header alone: its frames are not analysed and may be gigabytes. They
        never get into the archive, so nothing has to take them out again.
        """
        uid = arrival.sop_instance_uid
        if arrival.sop_class_uid not in objections.TOMOSYNTHESIS:
            file = self.archive.keep(received.path, uid=uid, digest=dataset.content_digest(arrival))
            return replace(arrival, file=file)
        header = dataset.header_alone(received, arrival, self.reading)
        file = self.archive.keep_bytes(header, folder="instances", key=f"{uid} header", suffix=".dcm")
        return replace(arrival, file=file, size=len(header))

    def _refuse_other_patient(self, instance: Instance | None, arrival: Arrival) -> NoReturn:
        """Raise OtherPatient before the file touches the archive, and write that down.

        The transaction that records an arrival looks again.
        """
        with self.database.write() as tx:
            patients.note(tx, instance, arrival, now=self.now())
        raise OtherPatient(OF_ANOTHER_PATIENT)

    def _recognise(self, arrival: Arrival, instance: Instance | None, path: Path) -> Arrival:
        """Return ``arrival`` as the kept ``instance`` where both hold the same pixels in other syntaxes.

        Of tomosynthesis no pixels are kept to compare: the digest that came first stands, whatever comes.

        Raises OtherPixels where they differ: the first is kept, this one refused.
        """
        if instance is None or instance.pixel_sha256 == arrival.pixel_sha256:
            return arrival
        if instance.pixels_removed_at is not None:
            return arrival  # nothing to compare with: the image is analysed anew
        classes = {instance.sop_class_uid, arrival.sop_class_uid}
        if classes <= objections.TOMOSYNTHESIS or self.same_pixels(self.archive.path(instance.file), path):
            return replace(arrival, pixel_sha256=instance.pixel_sha256)
        log.warning(
            "instance refused: its SOP Instance UID is kept with other pixels already",
            sop_instance_uid=arrival.sop_instance_uid,
            peer=arrival.source_ae,
        )
        raise OtherPixels("SOP Instance UID is kept with other pixels already")


def receiver(
    settings: Settings,
    database: Database,
    archive: Archive,
    *,
    now: Callable[[], datetime],
    arrived: Callable[[], None],
) -> Receiver:
    """Return what keeps images as ``settings`` want it, for whoever brings them."""
    return Receiver(
        database=database,
        archive=archive,
        device=product.device(settings.node.ae_title),
        disk_reserve=settings.node.disk_reserve_mb * 1_000_000,
        destinations=settings.destinations,
        takes=settings.takes,
        same_pixels=pixel_comparison.same_pixels,
        reading=settings.node.reading(),
        now=now,
        arrived=arrived,
    )


def _not_a_mammogram(sop_class_uid: str) -> str:
    return f"not a mammogram: {UID(sop_class_uid).name}"
