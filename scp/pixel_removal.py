"""Images whose time is over before that of their results: the header stays, the pixels go.

All that results are made of is kept: the header, what the analysis has found and its picture. So a report can
be made again, and an image that comes later has its place in it.
"""

from __future__ import annotations

import io
from datetime import datetime

import pydicom
import structlog

from inference.errors import Failed
from inference.reading import damage, mammogram
from inference.reading.options import ReadingOptions
from storage.database.engine import Database
from storage.files.archive import IDENTITIES, Archive
from storage.queue import arrivals
from storage.records import Instance
from storage.upkeep import retention

log = structlog.get_logger(__name__)


def remove_pixels(
    study_uid: str, database: Database, archive: Archive, reading: ReadingOptions, *, now: datetime
) -> int:
    """Remove the pixels of the images of a study that is settled; return how many bytes that has freed.

    The header is on the disk before the row names it, and the image goes once that is committed: a kill in
    between leaves a file that the next start removes. Raises StorageError, OSError.
    """
    with database.read() as tx:
        instances = [instance for instance, _ in arrivals.images(tx, study_uid)]
    freed = 0
    for instance in instances:
        if instance.pixels_removed_at is None:
            freed += _replace(instance, database, archive, reading, now)
    return freed


def _replace(
    instance: Instance, database: Database, archive: Archive, reading: ReadingOptions, now: datetime
) -> int:
    """Put the header in the place of the image; return the bytes that has freed."""
    header = _header(instance, archive, reading)
    if header is None:
        return 0
    # not among the instances, where a file that no row names is taken for an image that somebody misses
    file = archive.keep_bytes(
        header, folder=IDENTITIES, key=f"{instance.sop_instance_uid} header", suffix=".dcm"
    )
    with database.write() as tx:
        replaced = retention.replace_file(tx, instance, file=file, size=len(header), now=now)
    with database.write() as tx:
        for unneeded in arrivals.unneeded(tx, [instance.file if replaced else file]):
            archive.remove(unneeded)
    return instance.size - len(header) if replaced else 0


def _header(instance: Instance, archive: Archive, reading: ReadingOptions) -> bytes | None:
    """Return the header of the image as a file, None where that would say other things than the image."""
    try:
        image = mammogram.read(archive.path(instance.file), reading)
        header = mammogram.header_only(image.header)
        written = mammogram.describe(pydicom.dcmread(io.BytesIO(header)), reading)
    except (*damage.UNREADABLE_DATA_SET, Failed) as error:
        if damage.is_of_the_machine(error):
            raise
        return None
    unchanged = (image.header_digest, image.study_digest) == (written.header_digest, written.study_digest)
    return header if unchanged else None
