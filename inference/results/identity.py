"""Who made a result and under which UID: the same work always gets the same UID.

UIDs are UUIDs of a canonical text of everything that defines the object (PS3.5 B.2), never random. Same
UID, same bytes: whatever is seen in an object stands in its key, its times too. They are stored with finding
and report and handed in again; where a database was put back they are lost, and it is another object.

The same holds for what a peer wants or takes in another way: a picture with another Modality, a report with
regions of another shape or in another SOP class. Comprehensive SR and Comprehensive 3D SR carry the same tree
here: all coordinates are two-dimensional. Mammography CAD SR has a tree of its own, of the same findings.
What changes with the class are the UIDs of the report, of its series and of the report that it replaces.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.decision import Analysed, Decision, FlagRule, Result
from inference.findings import ModelIdentity, NotAnalysed
from inference.options import OutputOptions, RegionShape
from inference.reading.digests import canonical_digest, canonical_text

_NAMESPACE: Final = uuid.UUID("f0a75095-afd5-4137-b831-6abfb617027f")
"""Fixed for the product, for ever: another one gives every object another UID."""

SCHEMA: Final = "secondread-objects-10"
"""Raise it when the rules for the content of the objects change."""

IMPLEMENTATION_CLASS_UID: Final = UID("2.25.213897938659537608182767870301483002140")
"""Names the software that wrote a file (PS3.7 D.3.3.2): one constant, not derived (PS3.5 B.2)."""
IMPLEMENTATION_VERSION: Final = "SECONDREAD"


def uid(kind: str, **key: object) -> str:
    """Derive the UID of the thing of that ``kind`` which ``key`` defines (PS3.5 B.2: 2.25 and a UUID)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, canonical_text({'kind': kind, **key})).int}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A node as equipment (PS3.3 C.7.5.1)."""

    manufacturer: str
    model_name: str
    serial_number: str
    software_version: str

    @property
    def uid(self) -> str:
        """Device UID: it outlives updates of the software."""
        return uid("device", manufacturer=self.manufacturer, model=self.model_name, serial=self.serial_number)


def run_key(identity: ModelIdentity, rule: FlagRule, options: OutputOptions) -> dict[str, Any]:
    """Return what tells one way of making results from another: network, output rules and configuration."""
    settings = {
        "manufacturer": identity.manufacturer,
        "preprocessing": identity.preprocessing,
        "calibrated": identity.calibrated,
        "flag": {"setting": rule.setting, "threshold": rule.threshold.value, "shares": rule.shares},
        "meanings": {key.value: meaning for key, meaning in identity.meanings.items()},
        "options": asdict(options),
    }
    return {
        "model": identity.name,
        "version": identity.version,
        "weights": identity.weights_sha256,
        "schema": SCHEMA,
        "config": canonical_digest(settings),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """One node with one network and one configuration: who makes a result."""

    device: Device
    model: ModelIdentity
    rule: FlagRule
    options: OutputOptions

    def key(self) -> dict[str, Any]:
        """Return what goes into every UID: two nodes, or two versions of one, write different headers."""
        return {
            "run": run_key(self.model, self.rule, self.options),
            "device": self.device.uid,
            "software": self.device.software_version,
        }

    @property
    def network_uid(self) -> str:
        """Device UID of the network: another version, or other weights, are another device."""
        model = self.model
        return uid("network", name=model.name, version=model.version, weights=model.weights_sha256)

    def tracking_uid(self, image: str, region: int = 0) -> str:
        """Return the Tracking Unique Identifier of what is said of ``image``, the same in all objects.

        ``region`` is the number of the region, 0 the largest: the report has that one alone.
        """
        run = run_key(self.model, self.rule, self.options)
        return uid("tracking", image=image, region=region, run=run)


def time_key(moment: datetime) -> str:
    """Return ``moment`` (aware) as it stands in a key."""
    return moment.astimezone(UTC).isoformat()


def finding_key(finding: Result) -> dict[str, Any]:
    """Return what an object shows of ``finding``, scores to 4 decimals: smaller differences are noise."""
    match finding:
        case NotAnalysed(status=status, reason=reason):
            return {"status": status.value, "reason": reason}
        case Analysed():
            return {
                "scores": [round(score, 4) for score in finding.scores],
                "breast": _decision_key(finding.decision),
                "explained": finding.explained.value,
                "spots": finding.spots,
                "at_the_border": finding.at_the_border,
                "chest_wall": finding.landmarks.chest_wall,
                "nipple": finding.landmarks.nipple,
                "regions": [
                    {"ellipse": region.ellipse, "mean": round(region.mean_activation, 3)}
                    for region in finding.regions
                ],
            }


def _decision_key(decision: Decision) -> dict[str, Any]:
    population = decision.threshold.population
    return {
        "scores": [round(score, 4) for score in decision.scores],
        "threshold": round(decision.threshold.value, 6),
        "source": decision.threshold.source,
        "flagged": decision.flagged,
        "label": decision.label.value,
        "percentile": decision.percentile,
        "examinations": None if population is None else population.examinations,
    }


def in_class(report: Dataset, sop_class_uid: str) -> Dataset:
    """Return ``report`` as an object of ``sop_class_uid``; the same report always gets the same UIDs.

    So does the report that it replaces, which it names.
    """
    return _report_variant(report, UID(sop_class_uid), {"sop_class": sop_class_uid})


def with_region(report: Dataset, shape: RegionShape) -> Dataset:
    """Return ``report``, whose regions have another ``shape`` than the site's, under UIDs of its own."""
    return _report_variant(report, report.SOPClassUID, {"region": shape})


def _report_variant(report: Dataset, sop_class: UID, change: Mapping[str, str]) -> Dataset:
    """Return ``report`` under the UIDs of this ``change``, as is the report that it replaces."""
    variant = copy.deepcopy(report)
    variant.SOPClassUID = sop_class
    variant.SOPInstanceUID = _variant_uid("report", report.SOPInstanceUID, change)
    variant.SeriesInstanceUID = _variant_uid("series", report.SeriesInstanceUID, change)
    variant.file_meta.MediaStorageSOPClassUID = variant.SOPClassUID
    variant.file_meta.MediaStorageSOPInstanceUID = variant.SOPInstanceUID
    for study in variant.get("PredecessorDocumentsSequence", []):
        for series in study.ReferencedSeriesSequence:
            series.SeriesInstanceUID = _variant_uid("series", series.SeriesInstanceUID, change)
            for reference in series.ReferencedSOPSequence:
                reference.ReferencedSOPClassUID = sop_class
                reference.ReferencedSOPInstanceUID = _variant_uid(
                    "report", reference.ReferencedSOPInstanceUID, change
                )
    return variant


def with_modality(picture: Dataset, modality: str) -> Dataset:
    """Return ``picture`` with another Modality; the same picture always gets the same UIDs."""
    variant = copy.deepcopy(picture)
    variant.Modality = modality
    for level, keyword in (("picture", "SOPInstanceUID"), ("series", "SeriesInstanceUID")):
        setattr(variant, keyword, _variant_uid(level, picture[keyword].value, {"modality": modality}))
    variant.file_meta.MediaStorageSOPInstanceUID = variant.SOPInstanceUID
    return variant


def _variant_uid(level: str, original: str, change: Mapping[str, str]) -> UID:
    return UID(uid("variant", of=level, uid=str(original), **change))
