"""What comes in and goes out of this room: frozen values, one for each kind of row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.refused import Refused
from storage.states import DeliveryState


class JobKind(StrEnum):
    """What there is to do."""

    ANALYSE = "ANALYSE"
    """One image."""
    REPORT = "REPORT"
    """One study, after its images."""


class ArrivalOutcome(StrEnum):
    """What became of an arrival."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    """Same pixels, same header: nothing new."""
    HEADER_CHANGED = "HEADER_CHANGED"
    """Same pixels, another header: results say so, to that peer alone where only patient or study differ."""
    CONFLICT = "CONFLICT"
    """Same UID, other pixels: the first stands, nothing was changed."""
    OTHER_PATIENT = "OTHER_PATIENT"
    """Its UID or its study is that of another patient: what is kept stands, nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What reception understood of an image's header, beside what tells the image from all others."""

    laterality: str | None
    """R, L or B; None where the header does not say."""
    view: str | None
    """CC, MLO, ML, …; None where the header does not say."""
    objection: str | None
    """Why the header alone forbids an analysis, in words; None where it does not."""
    for_processing: bool
    """Whether these are raw detector values."""
    acquisition_date: str
    """As the header has it, "" where it has none; so is the time."""
    acquisition_time: str
    source_instance_uids: tuple[str, ...]
    """The images that the header names as those from which this one was made."""
    rows: int
    columns: int
    frames: int
    study_digest: str
    """Equal where nothing differs that results copy of patient and study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One received instance whose file is already safe in the archive."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_uid: str
    series_uid: str
    header_digest: str
    """Equal where the image is analysed, shown and described alike; whose it is stands elsewhere."""
    pixel_sha256: str
    """Names the pixels by the bytes in which they first came; they may be kept in another transfer syntax."""
    file: str
    """Relative to the data directory."""
    size: int
    """Bytes of the file."""
    standard_view: str | None
    """RCC, LCC, RMLO or LMLO, else None."""
    analysable: bool
    """Whether the header alone lets it be analysed; only such images make a study complete."""
    source_ae: str
    """Calling AE title of the sender."""
    patient_digest: str | None
    """Equal where the Patient ID is; None where a version before 1.3 has kept the image."""
    description: Description | None
    """None where a version before 1.3 has kept the image, which wrote none down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance(Arrival):
    """One kept instance: the current header and file of its SOP Instance UID."""

    received_at: datetime
    """When this header came in."""
    promised_at: datetime | None = None
    """When a peer was last told that it is kept (storage commitment); None: no peer has asked."""
    pixels_removed_at: datetime | None = None
    """When retention has left its header alone; None: the file is the whole image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """What one peer said last of an image that it sent."""

    sop_instance_uid: str
    ae_title: str
    study_uid: str
    series_uid: str
    header_digest: str
    study_digest: str | None
    """Equal where nothing differs that results copy of patient and study; None as with the patient."""
    patient_digest: str | None
    """Equal where the Patient ID is; None where a version before 1.3 has kept it."""
    identity: str | None
    """File of patient and study, relative to the data directory; None as with the patient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotKept:
    """What of one kind a peer sent that was not kept."""

    peer: str
    sop_class_uid: str
    reason: Refused
    objects: int
    """How many since the database was made."""
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedCalls:
    """Associations, connections or requests that were refused for one reason."""

    peer: str
    """Empty for all callers that are no peers."""
    reason: Refused
    calls: int
    """How many since the database was made."""
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What `arrivals.record` did."""

    outcome: ArrivalOutcome
    replaced_files: tuple[str, ...]
    """Files that no row names any more: remove them after the commit."""
    identity: str | None = None
    """File of the patient and study that the sender named before: another row may name it still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to finish one claim of one job."""

    job_id: int
    owner: str
    claim: int
    """Counts the claims of the job, so that an owner's old lease is never taken for its new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One claimed job."""

    id: int
    kind: JobKind
    sop_instance_uid: str | None
    """The image to analyse; None for a report."""
    study_uid: str
    attempts: int
    """How often it was claimed since it was made, retried or renewed; 1 at the first claim."""
    deaths: int
    """How many workers it has killed."""
    releases: int
    """During how many claims its node, or its machine, has ended."""
    created_at: datetime
    lease: Lease


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingRecord:
    """What an analysis said of one image."""

    sop_instance_uid: str
    finding: str
    """JSON whose ``status`` is ``Succeeded`` where the image was analysed."""
    analysed_at: datetime
    """When; as kept, when the same was first said of the same header."""
    heatmap: str | None
    """Picture of the heatmap, relative to the data directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewResult:
    """One finished object whose file is already safe in the archive."""

    sop_instance_uid: str
    kind: str
    """Its name in the table of output kinds, at most 16 characters."""
    sop_class_uid: str
    alternative_class_uid: str | None
    """SOP class in which a peer may take it instead; None where there is no other."""
    transfer_syntax_uid: str
    series_uid: str
    file: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultObject(NewResult):
    """One kept result object."""

    study_uid: str
    report_id: int
    """The latest report that it belongs to."""
    position: int
    """Its place in the order in which that report is sent, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One report of one study."""

    id: int
    study_uid: str
    sequence: int
    """1 for the first report of the study."""
    made_at: datetime
    images: int
    """How many images it is about."""
    content_digest: str
    """Equal where nothing else is said, about the same images, by the same model with the same options."""
    replaces: int | None
    """Sequence of the report that it names as its predecessor."""
    current: bool
    """Whether the node says so of the study under its identity now: neither replaced, taken back nor
    forgotten."""
    sr_sop_class_uid: str | None
    """The Structured Report; None where it consists of images only."""
    sr_sop_instance_uid: str | None
    sr_series_uid: str | None
    sr_study_uid: str | None
    """Study Instance UID that it has, where that may be another than the study's here."""
    identity: str
    """Digest of patient and study that it copies; "" where a version before 1.3 has made it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One object owed to one destination."""

    id: int
    result: ResultObject
    destination: str
    state: DeliveryState
    attempts: int
    """How often it was offered to the peer."""
    not_before: datetime
    last_status: int | None
    """The peer's last C-STORE status; None where none came."""
    reason: str | None
    sent_at: datetime | None
    sent_as: str | None
    """SOP Instance UID under which it was sent, where that is not the object's own."""
