"""Patient and study as peers sent them, in files: the database holds digests of them alone."""

from __future__ import annotations

from inference.reading import mammogram
from inference.reading.digests import patient_digest
from inference.reading.mammogram import SourceImage
from inference.reading.options import ReadingOptions
from inference.results import headers
from storage.database.engine import Database
from storage.files.archive import IDENTITIES, Archive
from storage.queue import arrivals, copies


def keep(image: SourceImage, database: Database, archive: Archive) -> str:
    """Return the name of the file of patient and study of ``image``; it is written where there is none."""
    with database.read() as tx:
        file = copies.identity_file(tx, image.study_digest)
    return keep_beside(image, file, archive)


def keep_beside(image: SourceImage, file: str | None, archive: Archive) -> str:
    """Do as `keep`; ``file`` is the one that a row names, None where none does."""
    if file is not None and archive.holds(file):
        return file
    return archive.keep_bytes(
        headers.identity_file(image), folder=IDENTITIES, key=image.study_digest, suffix=".dcm"
    )


def remove(file: str, database: Database, archive: Archive) -> None:
    """Remove a file of patient and study, unless a row names it (again)."""
    with database.write() as tx:  # whoever is about to name it looks for it in such a transaction, too
        if not copies.names(tx, file):
            archive.remove(file)


def complete(study_uid: str, database: Database, archive: Archive, reading: ReadingOptions) -> None:
    """Write the identities of the study's images that versions before 1.3 did not write.

    Raises
    ------
    Failed
        A kept file is damaged.
    OSError, StorageError
        File or database cannot be used now.
    """
    with database.read() as tx:
        unknown = [copy for copy in copies.of_study(tx, study_uid) if copy.identity is None]
        files = {instance.sop_instance_uid: instance.file for instance, _ in arrivals.images(tx, study_uid)}
    for copy in unknown:
        image = mammogram.read(archive.path(files[copy.sop_instance_uid]), reading)
        file = keep(image, database, archive)
        with database.write() as tx:
            copies.complete(
                tx,
                copy,
                study_digest=image.study_digest,
                patient_digest=patient_digest(image.header),
                identity=file,
            )
