"""The archive that the configuration wants: a folder of the data directory, or a bucket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from scp.configuration.files import MEGABYTE
from scp.configuration.settings import Settings
from storage.database import inspection
from storage.errors import BucketError
from storage.files.archive import UNCLAIMED, Archive
from storage.files.folder import FolderArchive, unclaimed
from storage.upkeep import to_come

if TYPE_CHECKING:
    from storage.files.bucket import BucketArchive


HEADROOM: Final = 1.5
"""Below so many disk reserves copies or studies go early, so that at one no image need be refused."""


def open_archive(settings: Settings) -> Archive:
    """Return the archive; a bucket is not called yet. Raises BucketError, OSError."""
    if not settings.files.in_bucket:
        return FolderArchive(settings.node.data_dir)
    archive = _bucket(settings, only_asked=False)
    archive.look_after_copies()
    return archive


def check(settings: Settings) -> None:
    """Look whether a bucket can be used; a folder shows that itself.

    Raises BucketError with what to mend, FilesUnavailable where its server cannot be used now.
    """
    if settings.files.in_bucket:
        _bucket(settings).check()


def check_use(settings: Settings) -> None:
    """Look as `check` does, and whether a file can be written, read and removed. Raises what it raises."""
    check(settings)
    if settings.files.in_bucket:
        _bucket(settings).probe()


def check_start(settings: Settings) -> None:
    """Look as `check_use` does, and whether there would be a new database beside a bucket with images.

    Raises what `check` raises, and DatabaseError where the database cannot be reached.
    """
    check_use(settings)
    if (
        settings.files.in_bucket
        and inspection.inspect(settings.node.data_dir, url=settings.database.server) is None
        and _bucket(settings).holds_images()
    ):
        raise BucketError(
            f"the database is empty, but {settings.files.url} holds images: put a backup of the database in "
            "its place, or name another prefix in [files] url to start with nothing"
        )


def unclaimed_images(settings: Settings) -> int:
    """Count the images that the database does not know and that nobody brings in again by himself.

    Raises BucketError, OSError.
    """
    if settings.files.in_bucket:
        return _bucket(settings).count_unclaimed()
    data_dir = settings.node.data_dir
    return max(0, unclaimed(data_dir) - len(to_come.read(data_dir)))


def unclaimed_place(settings: Settings) -> str:
    """Return where those images are, in words for a person."""
    if settings.files.in_bucket:
        return f"{settings.files.url}/{UNCLAIMED}"
    return str(settings.node.data_dir / UNCLAIMED)


def _bucket(settings: Settings, *, only_asked: bool = True) -> BucketArchive:
    # imported here: what only asks starts sooner without them
    from storage.files.bucket import BucketArchive  # noqa: PLC0415
    from storage.files.client import Place  # noqa: PLC0415

    files = settings.files
    reserve = round(settings.node.disk_reserve_mb * MEGABYTE * HEADROOM)
    key, secret = _credentials(files.credentials)
    if files.authorities is not None and not files.authorities.is_file():
        raise BucketError(f"[files] authorities: {files.authorities} is no file")
    place = Place(
        bucket=files.bucket,
        prefix=files.prefix,
        endpoint=files.endpoint,
        region=files.region,
        path_style=files.path_style,
        authorities=files.authorities,
        key=key,
        secret=secret,
    )
    return BucketArchive(
        settings.node.data_dir,
        place,
        copies_bytes=files.copies_mb * MEGABYTE,
        free_bytes=reserve,
        credentials=partial(_credentials, files.credentials),
        only_asked=only_asked,
    )


def _credentials(named: str | None) -> tuple[str, str]:
    """Return access key and secret key; empty where boto3 is to find them. Raises BucketError."""
    if named is None:
        return "", ""
    # imported here: what only asks starts sooner without it
    from scp.network import secrets  # noqa: PLC0415

    try:
        key, _, secret = secrets.read(named).partition(":")
    except secrets.SecretError as error:
        raise BucketError(f"[files] credentials: {error}") from error
    if not key or not secret:
        raise BucketError("[files] credentials: ACCESS_KEY:SECRET_KEY is allowed")
    return key, secret
