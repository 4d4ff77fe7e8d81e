"""Requests to an S3-compatible server, and what their failures mean. The only user of boto3.

boto3 is imported where a bucket is opened: a node without one needs none of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from storage.errors import BucketError
from storage.files import failures
from storage.files.archive import KeptFile

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 20
"""How long the server may be silent within a request."""
LOOK_SECONDS: Final = 5
"""The same where somebody only looks how it is."""
TRIES: Final = 2
"""Of each request: a connection that was kept open may have ended. More is for the queue to do."""
CONNECTIONS: Final = 64
CHUNK: Final = 1 << 20
PROBE: Final = "probe"
"""Folder, and content, of an object that is there for a moment."""
PAGE: Final = 1000
"""Objects in one answer; no server gives more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a bucket is, and how it is reached."""

    bucket: str
    prefix: str = ""
    """What every key begins with: empty, or without a slash at its ends."""
    endpoint: str = ""
    """``https://host:port`` of the server; empty: Amazon's own of the region."""
    region: str = "us-east-1"
    path_style: bool = True
    """Whether the bucket stands in the path of a request, and not before the host's name."""
    authorities: Path | None = None
    """PEM file: who may have signed the server's certificate; None: those that botocore brings."""
    key: str = field(default="", repr=False)
    """Access key; empty: what boto3 finds in its environment."""
    secret: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The bucket and prefix, as the configuration has them."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


class Client:
    """Calls the server. Safe for use from many threads. Objects are named without the prefix.

    Raises
    ------
    BucketError
        boto3 is not installed.
    """

    def __init__(
        self,
        place: Place,
        credentials: Callable[[], tuple[str, str]] | None = None,
        *,
        answer_seconds: int = ANSWER_SECONDS,
    ) -> None:
        """``credentials`` returns access key and secret key as they are now, where they may be renewed."""
        self.place = place
        self._answer_seconds = answer_seconds
        self._credentials = credentials
        self._s3 = _connected(replace(place, prefix=""), answer_seconds)

    def check(self) -> None:
        """List one object. Raises BucketError with what is to be mended, FilesUnavailable."""
        with self._translated(of_bucket=True):
            self._list_one()

    def probe(self) -> None:
        """Write, read and remove an object. Raises what `check` raises."""
        name = {"Bucket": self.place.bucket, "Key": self._key(f"{PROBE}/{uuid4().hex}")}
        with self._translated(of_bucket=True):
            self._require_object(self._s3.put_object(**name, Body=PROBE.encode()))
            try:
                content = self._s3.get_object(**name)["Body"].read()
            finally:
                self._s3.delete_object(**name)
        if content != PROBE.encode():
            raise self._no_answer()

    def require(self) -> None:
        """List one object. Raises FilesUnavailable, whatever is the matter."""
        with self._translated():
            self._list_one()

    def store(self, name: str, content: bytes | Path) -> None:
        """Store an object; it is the server's when this returns."""
        with self._translated():
            if isinstance(content, bytes):
                answer = self._s3.put_object(Bucket=self.place.bucket, Key=self._key(name), Body=content)
                self._require_object(answer)
                return
            # in one request: nothing of it is left there where it breaks off, and it is read as it is sent
            with content.open("rb") as file:
                answer = self._s3.put_object(Bucket=self.place.bucket, Key=self._key(name), Body=file)
            self._require_object(answer)

    def fetch(self, name: str, target: Path) -> None:
        """Write an object to the file ``target``. Raises FileNotFoundError where there is none."""
        try:
            with self._translated(name):
                answer = self._s3.get_object(Bucket=self.place.bucket, Key=self._key(name))
                self._require_object(answer)
                body = answer["Body"]
                with target.open("wb") as file:
                    for chunk in body.iter_chunks(CHUNK):  # a body that is too short raises in the end
                        file.write(chunk)
        except FileNotFoundError:
            self.require()  # a proxy may have answered that
            raise

    def modified(self, name: str) -> float | None:
        """Return when an object was written, at the latest; None where there is none."""
        answer = self._head(name)
        if answer is None:
            self.require()  # the answer does not tell whether it is the bucket that is missing
            return None
        return _latest(answer["LastModified"])

    def size(self, name: str) -> int | None:
        """Return how many bytes an object has; None where there is none."""
        answer = self._head(name)
        return None if answer is None else int(answer["ContentLength"])

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone is fine."""
        with self._translated():
            self._s3.delete_object(Bucket=self.place.bucket, Key=self._key(name))

    def copy(self, name: str, target: str) -> None:
        """Copy an object inside the bucket. Raises FileNotFoundError where there is none."""
        source = {"Bucket": self.place.bucket, "Key": self._key(name)}
        with self._translated(name):
            self._s3.copy_object(Bucket=self.place.bucket, Key=self._key(target), CopySource=source)

    def listed(self, folder: str, ending: Callable[[], bool] = lambda: False) -> Iterator[KeptFile]:
        """Give every object of ``folder``, `PAGE` in one request, until ``ending``."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.place.bucket, Prefix=self._key(f"{folder}/"), PaginationConfig={"PageSize": PAGE}
        )
        start = len(self._key(""))
        with self._translated():
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield KeptFile(name=entry["Key"][start:], modified=_latest(entry["LastModified"]))
                if ending():
                    return

    def _renew(self) -> None:
        """Use other credentials from the next request on, where there are."""
        if self._credentials is not None:
            with suppress(BucketError):  # the old ones stay
                key, secret = self._credentials()
                self.place = replace(self.place, key=key, secret=secret)
                self._s3 = _connected(replace(self.place, prefix=""), self._answer_seconds)

    def _list_one(self) -> None:
        answer = self._s3.list_objects_v2(Bucket=self.place.bucket, Prefix=self._key(""), MaxKeys=1)
        if "Name" not in answer:
            raise self._no_answer()

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            with self._translated(name):
                answer: dict[str, Any] = self._s3.head_object(Bucket=self.place.bucket, Key=self._key(name))
        except FileNotFoundError:
            return None
        self._require_object(answer, "LastModified")
        return answer

    def _require_object(self, answer: Mapping[str, Any], *headers: str) -> None:
        """Raise FilesUnavailable where an answer is not about an object: a proxy may answer 200, too."""
        if not all(header in answer for header in ("ETag", *headers)):
            raise self._no_answer()

    def _no_answer(self) -> Exception:
        return self._failure("an answer that is none of S3")

    def _key(self, name: str) -> str:
        return f"{self.place.prefix}/{name}" if self.place.prefix else name

    @contextmanager
    def _translated(self, name: str | None = None, *, of_bucket: bool = False) -> Iterator[None]:
        """Let what boto3 raises mean: no object ``name``, a bucket that is to be mended, or again later."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above
        from botocore.parsers import ResponseParserError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in failures.DENIED:
                self._renew()
            if name is not None and code in failures.ABSENT:
                raise FileNotFoundError(errno.ENOENT, "no such object in the bucket", name) from error
            raise self._failure(code, of_bucket=of_bucket) from error
        except (BotoCoreError, ResponseParserError, HTTPError, RecursionError) as error:
            # the second and third: what comes is no answer of S3, or breaks off; the last: botocore follows
            # a redirection in a circle
            raise self._failure(type(error).__name__, of_bucket=of_bucket) from error

    def _failure(self, reason: str, *, of_bucket: bool = False) -> Exception:
        return failures.failure(self.place.url, reason, of_bucket=of_bucket)


@lru_cache(maxsize=8)
def _connected(place: Place, answer_seconds: int) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return boto3's client, the same for all: to make one takes long. Raises BucketError without boto3."""
    try:
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise BucketError('[files] url needs boto3: pip install "secondread[s3]"') from error
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=answer_seconds,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if place.path_style else "virtual"},
        # servers that are not Amazon's do not know the checksums that boto3 adds since 1.36
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint or None,
        aws_access_key_id=place.key or None,
        aws_secret_access_key=place.secret or None,
        verify=None if place.authorities is None else str(place.authorities),
        config=config,
    )


def _code(error: ClientError) -> str:
    """Return the server's code; of a proxy, which gives none, the HTTP status."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "unknown")
    return str(error.response.get("Error", {}).get("Code") or status)


def _latest(moment: Any) -> float:  # noqa: ANN401 - boto3 has no types
    """Return the end of the second in which an object was written: the server tells no fraction."""
    return float(moment.timestamp()) + 1.0
