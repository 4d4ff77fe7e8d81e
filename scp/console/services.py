"""What the pages are given: configuration, database, archive, uploads and the clock."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from starlette.requests import Request

from inference.decision import FlagRule
from inference.network.manifest import Manifest
from scp import product
from scp.auditing.trail import Trail
from scp.calibration import StudyThresholds
from scp.configuration.settings import Settings
from scp.console.pseudonyms import Pseudonyms
from scp.console.reading.uploads import Uploads
from storage.database.engine import Database
from storage.files.archive import Archive
from storage.records import Report
from storage.scanners.scores import Network

KEY_FILE: Final = "console.key"
"""The file in the data directory that pseudonyms are made with."""
_KEY_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Services:
    """All of it, made once."""

    settings: Settings
    database: Database
    archive: Archive
    uploads: Uploads

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of the network that is configured."""
        return product.read_manifest(self.settings.model)

    @cached_property
    def trail(self) -> Trail:
        """Is told who signs in; the node sends what is told here."""
        return Trail(settings=self.settings)

    @cached_property
    def rule(self) -> FlagRule:
        """How breasts are flagged."""
        return product.flag_rule(self.settings.model)

    def thresholds(self, study_uid: str, *, repeated: Report | None = None) -> StudyThresholds:
        """Return what flags the breasts of a study, "" of a picture: what its report, ``repeated``, says."""
        return StudyThresholds(
            database=self.database,
            network=Network(name=self.manifest.name, version=self.manifest.version),
            uncalibrated=self.rule.threshold,
            study_uid=study_uid,
            repeated=repeated,
        )

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """What patients are called here: the same for all studies of one."""
        path = Path(self.settings.node.data_dir, KEY_FILE)
        if not path.exists():
            path.write_bytes(secrets.token_bytes(_KEY_BYTES))
            path.chmod(0o600)
        return Pseudonyms(path.read_bytes())

    @staticmethod
    def now() -> datetime:
        """Return the time."""
        return datetime.now(UTC)


def of(request: Request) -> Services:
    """Return the services of the application that got ``request``."""
    services: Services = request.app.state.services
    return services
