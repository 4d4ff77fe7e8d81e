"""What reception understood of an image's header, on its way into the database and out of it.

`inference` and `storage` do not know each other: here the description of one becomes the row of the other.
"""

from __future__ import annotations

from inference.findings import Laterality
from inference.reading import mammogram
from inference.reading.mammogram import ImageDescription
from inference.reading.options import DEFAULT, ReadingOptions
from storage.database.engine import Database
from storage.files.archive import Archive
from storage.queue import arrivals
from storage.records import Description, Instance


def to_row(image: ImageDescription) -> Description:
    """Return what the database keeps of ``image`` beside its UIDs and the digest of its header."""
    return Description(
        laterality=None if image.laterality is None else image.laterality.value,
        view=image.view,
        objection=image.objection,
        for_processing=image.for_processing,
        acquisition_date=image.acquisition_date,
        acquisition_time=image.acquisition_time,
        source_instance_uids=image.source_instance_uids,
        rows=image.rows,
        columns=image.columns,
        frames=image.frames,
        study_digest=image.study_digest,
    )


def from_row(instance: Instance) -> ImageDescription | None:
    """Return the description that ``instance`` was kept with; None where a version before 1.3 kept it."""
    row = instance.description
    if row is None:
        return None
    return ImageDescription(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        study_instance_uid=instance.study_uid,
        series_instance_uid=instance.series_uid,
        laterality=None if row.laterality is None else Laterality(row.laterality),
        view=row.view,
        objection=row.objection,
        for_processing=row.for_processing,
        acquisition_date=row.acquisition_date,
        acquisition_time=row.acquisition_time,
        source_instance_uids=row.source_instance_uids,
        rows=row.rows,
        columns=row.columns,
        frames=row.frames,
        header_digest=instance.header_digest,
        study_digest=row.study_digest,
    )


def of_instance(
    instance: Instance, *, database: Database, archive: Archive, reading: ReadingOptions = DEFAULT
) -> ImageDescription:
    """Return the description of ``instance``; where it has none, read its header and write it down.

    Raises
    ------
    Failed
        The kept file is damaged.
    OSError, StorageError
        File or database cannot be used now.
    """
    image = from_row(instance)
    if image is not None:
        return image
    image = mammogram.read(archive.path(instance.file), reading).description
    with database.write() as tx:
        arrivals.describe(tx, instance, to_row(image))
    return image
