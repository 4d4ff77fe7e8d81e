"""A finished report in the other SOP class, for a peer that takes only that one.

Comprehensive SR and Comprehensive 3D SR carry the same tree here: all coordinates are two-dimensional. What
changes is the class, and with it the UIDs of the report, of its series and of the report that it replaces.
"""

from __future__ import annotations

import copy

from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.results.identity import uid


def in_class(report: Dataset, sop_class_uid: str) -> Dataset:
    """Return ``report`` as an object of ``sop_class_uid``; the same report always gets the same UIDs."""
    other = copy.deepcopy(report)
    other.SOPClassUID = UID(sop_class_uid)
    other.SOPInstanceUID = UID(_derived("report", report.SOPInstanceUID, sop_class_uid))
    other.SeriesInstanceUID = UID(_derived("series", report.SeriesInstanceUID, sop_class_uid))
    other.file_meta.MediaStorageSOPClassUID = other.SOPClassUID
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    for study in other.get("PredecessorDocumentsSequence", []):
        for series in study.ReferencedSeriesSequence:
            series.SeriesInstanceUID = UID(_derived("series", series.SeriesInstanceUID, sop_class_uid))
            for reference in series.ReferencedSOPSequence:
                reference.ReferencedSOPClassUID = UID(sop_class_uid)
                reference.ReferencedSOPInstanceUID = UID(
                    _derived("report", reference.ReferencedSOPInstanceUID, sop_class_uid)
                )
    return other


def _derived(kind: str, of: str, sop_class_uid: str) -> str:
    return uid("variant", of=kind, uid=str(of), sop_class=sop_class_uid)
