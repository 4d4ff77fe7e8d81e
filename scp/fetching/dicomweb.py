"""Fetching by DICOMweb: QIDO-RS, then WADO-RS, one image after the other (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.fetching.query import Query
from scp.fetching.source import (
    FETCHED_CLASSES,
    LONGEST_VALUE,
    MOST_MATCHES,
    FetchError,
    Image,
    Keeper,
    Match,
    SourceClosedError,
    only_uids,
    too_many,
)
from scp.network.association import Unreachable
from scp.network.web import NotGivenError, WebPeerClient

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

PAGE: Final = 200
"""Matches in one answer, at most."""
TAGS: Final = {
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "SOPInstanceUID": "00080018",
    "SOPClassUID": "00080016",
    "AccessionNumber": "00080050",
    "PatientID": "00100020",
}
"""All that is read of an answer to QIDO-RS: keywords, and the tags that stand there (PS3.18 F.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSource:
    """A peer that answers queries by HTTP."""

    settings: Settings
    peer: Peer
    keeper: Keeper
    incoming: Path
    """Where images are written before they are kept."""

    def studies(self, query: Query) -> list[str]:
        """Return the Study Instance UIDs that match ``query``."""
        filters = {keyword: value for keyword, value in query.keys.items() if value}
        matches = self._search(
            "StudyInstanceUID",
            lambda offset, web: web.search_for_studies(search_filters=filters, limit=PAGE, offset=offset),
        )
        return only_uids(study["StudyInstanceUID"] for study in matches if query.agrees(study))

    def images(self, study_uid: str) -> list[Image]:
        """Return the mammograms of a study."""
        matches = self._search(
            "SOPInstanceUID",
            lambda offset, web: web.search_for_instances(
                study_uid,
                fields=["SOPClassUID", "SeriesInstanceUID"],
                search_filters={"Modality": "MG"},
                limit=PAGE,
                offset=offset,
            ),
        )
        # a peer that does not tell the class is believed to have a mammogram
        mammography = [image for image in matches if image["SOPClassUID"] in {"", *FETCHED_CLASSES}]
        series_of = {image["SOPInstanceUID"]: image["SeriesInstanceUID"] for image in mammography}
        series = set(only_uids(series_of.values()))
        return [
            Image(sop_instance_uid=uid, series_uid=series_of[uid])
            for uid in only_uids(series_of)
            if series_of[uid] in series
        ]

    def fetch(self, study_uid: str, images: Sequence[Image]) -> list[FetchError]:
        """Bring ``images`` to the node."""
        failures: list[FetchError] = []
        with self._client() as client:
            for image in images:
                try:
                    path = self._retrieve(client, study_uid, image)
                except NotGivenError as error:
                    failures.append(FetchError(str(error), again=False))
                    continue
                failure = self.keeper.keep(path, {image.sop_instance_uid})
                failures += [] if failure is None else [failure]
                if isinstance(failure, SourceClosedError):
                    break
        return failures

    def _search(self, key: str, ask: Callable[[int, DICOMwebClient], object]) -> list[Match]:
        """Return all matches, page by page, until one brings nothing new: some peers ignore the offset."""
        matches: dict[str, Match] = {}
        with self._client() as client:
            while True:
                before = len(matches)
                page = client.call(partial(_page, ask, before))
                matches.update({match[key]: match for match in page})
                matches.pop("", None)
                if len(matches) > MOST_MATCHES:
                    raise too_many(self.peer.ae_title)
                if len(matches) == before:
                    return list(matches.values())

    def _retrieve(self, client: WebPeerClient, study_uid: str, image: Image) -> Path:
        """Write one image to a file, as the peer has it.

        Raises
        ------
        NotGivenError
            It did not come, or it cannot be written again.
        SourceClosedError
            The disk takes nothing.
        """
        data_set = client.retrieve(study_uid, image.series_uid, image.sop_instance_uid)
        try:
            with tempfile.NamedTemporaryFile(dir=self.incoming, suffix=".dcm", delete=False) as file:
                try:
                    data_set.save_as(file, enforce_file_format=True)
                except Exception:
                    Path(file.name).unlink()
                    raise
        except OSError as error:
            raise SourceClosedError(f"the data directory takes no image now ({error})") from error
        except Exception as error:
            raise NotGivenError(f"what came cannot be written as a file ({type(error).__name__})") from error
        return Path(file.name)

    @contextmanager
    def _client(self) -> Iterator[WebPeerClient]:
        try:
            client = WebPeerClient(self.settings, self.peer)
            try:
                yield client
            finally:
                client.release()
        except Unreachable as error:
            raise SourceClosedError(str(error)) from error


def _page(ask: Callable[[int, DICOMwebClient], object], offset: int, client: DICOMwebClient) -> list[Match]:
    """Return the matches from ``offset`` on. Raises ValueError where what comes is no list of data sets."""
    matches = ask(offset, client)
    if not isinstance(matches, list) or not all(isinstance(match, dict) for match in matches):
        raise ValueError("no list of data sets")
    return [{keyword: _value(match, tag) for keyword, tag in TAGS.items()} for match in matches]


def _value(match: dict[str, object], tag: str) -> str:
    """Return what a match says, no longer than what it may say."""
    attribute = match.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return value.strip()[: LONGEST_VALUE + 1] if isinstance(value, str) else ""
