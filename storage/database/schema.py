"""The tables. What the code promises, the database repeats: CHECKs, foreign keys, partial unique indexes.

A change here needs a new file in ``migrations/versions``; a test compares the two. Numbered rows never
reuse a number (sqlite_autoincrement), so that a stale lease cannot meet a new job.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from storage.database.columns import Instant, Numbers, Texts, characters, words
from storage.records import JobKind
from storage.refused import Refused
from storage.states import CommitmentState, DeliveryState, JobState

UID: Final = characters(64)
"""PS3.5 6.2: a UI has at most 64 characters."""
AE: Final = characters(64)
FILE: Final = characters(255)
DIGEST: Final = characters(64)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

studies: Final = Table(
    "studies",
    metadata,
    Column("study_uid", UID, primary_key=True),
    # True where something changed that no report job covers yet
    Column("changed", Boolean, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("first_at", Instant, nullable=False),
    # last sign of life of any kind: what retention counts from
    Column("last_at", Instant, nullable=False),
    # True once copies of its images named several patients: `overview.attention` looks whether they still do
    Column("several_patients", Boolean, nullable=False, server_default=false()),
    Index("ix_studies_changed", "changed", "last_at", "study_uid"),
    Index("ix_studies_first", "first_at"),
    Index("ix_studies_last", "last_at", "study_uid"),
    Index("ix_studies_several_patients", "several_patients", "study_uid"),
)

senders: Final = Table(
    "senders",
    metadata,
    Column("study_uid", UID, ForeignKey("studies.study_uid"), primary_key=True),
    Column("ae_title", AE, primary_key=True),
    Index("ix_senders_title", "ae_title", "study_uid"),
)

# Where the results go of what a peer sent.
routes: Final = Table(
    "routes",
    metadata,
    Column("study_uid", UID, ForeignKey("studies.study_uid"), primary_key=True),
    Column("ae_title", AE, primary_key=True),
    Column("destination", AE, primary_key=True),
)

instances: Final = Table(
    "instances",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("sop_class_uid", UID, nullable=False),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("study_uid", UID, ForeignKey("studies.study_uid"), nullable=False, index=True),
    Column("series_uid", UID, nullable=False),
    Column("header_digest", DIGEST, nullable=False),
    Column("pixel_sha256", DIGEST, nullable=False),
    Column("file", FILE, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("standard_view", characters(4)),
    Column("analysable", Boolean, nullable=False),
    Column("source_ae", AE, nullable=False),
    # of the Patient ID; a version before 1.3 has kept none
    Column("patient_digest", DIGEST),
    # last time that a peer was told that it is kept (storage commitment)
    Column("promised_at", Instant),
    # when retention has put its header in the place of the image
    Column("pixels_removed_at", Instant),
    Index("ix_instances_received", "received_at", "size"),
    Index("ix_instances_patient", "patient_digest"),
)

_WHOLE = text("pixels_removed_at IS NULL")

Index("ix_instances_whole", instances.c.received_at, sqlite_where=_WHOLE)

# What each peer said last of an image that it sent: whose it is there, and in which study. The database holds
# no Patient ID; `identity` is the file of patient and study. Without it, and without digests, what a version
# before 1.3 has kept, until a job has read its header.
copies: Final = Table(
    "copies",
    metadata,
    Column("sop_instance_uid", UID, ForeignKey("instances.sop_instance_uid"), primary_key=True),
    Column("ae_title", AE, primary_key=True),
    Column("study_uid", UID, nullable=False),
    Column("series_uid", UID, nullable=False),
    Column("header_digest", DIGEST, nullable=False),
    Column("study_digest", DIGEST, index=True),
    Column("patient_digest", DIGEST),
    Column("identity", FILE, index=True),
    Index("ix_copies_sender", "ae_title", "study_uid"),
    Index("ix_copies_study", "study_uid", "sop_instance_uid"),
)

# What reception understood of an image's header. An image that a version before 1.3 has kept has no row
# until a job has read its header.
descriptions: Final = Table(
    "descriptions",
    metadata,
    Column("sop_instance_uid", UID, ForeignKey("instances.sop_instance_uid"), primary_key=True),
    Column("laterality", characters(1)),
    Column("view", characters(16)),
    Column("objection", Text),
    Column("for_processing", Boolean, nullable=False),
    Column("acquisition_date", Text, nullable=False),
    Column("acquisition_time", Text, nullable=False),
    Column("source_instance_uids", Texts, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("columns", BigInteger, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("study_digest", DIGEST, nullable=False),
)

findings: Final = Table(
    "findings",
    metadata,
    Column("sop_instance_uid", UID, ForeignKey("instances.sop_instance_uid"), primary_key=True),
    Column("finding", Text, nullable=False),
    # read once from the finding's status, so that counting needs no JSON
    Column("succeeded", Boolean, nullable=False),
    Column("analysed_at", Instant, nullable=False),
    Column("heatmap", FILE, index=True),
)

# When a finding of an image under a header was first made. Outlives its study: what is made of the same image
# again has the same UID, hence must have the same bytes, and times are among them.
first_findings: Final = Table(
    "first_findings",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("header_digest", DIGEST, primary_key=True),
    Column("finding_digest", DIGEST, primary_key=True),
    Column("analysed_at", Instant, nullable=False),
)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", words(JobKind, "kind"), nullable=False),
    Column("sop_instance_uid", UID, ForeignKey("instances.sop_instance_uid"), index=True),
    Column("study_uid", UID, ForeignKey("studies.study_uid"), nullable=False, index=True),
    Column("state", words(JobState, "state"), nullable=False),
    Column("owner", characters(128)),
    Column("lease_until", Instant),
    Column("claims", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("releases", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("reason", Text),
    Column("trace", Text),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    CheckConstraint("(kind = 'ANALYSE') = (sop_instance_uid IS NOT NULL)", name="image_or_study"),
    CheckConstraint("(state = 'RUNNING') = (owner IS NOT NULL)", name="running_is_owned"),
    CheckConstraint("(state = 'RUNNING') = (lease_until IS NOT NULL)", name="running_is_leased"),
    CheckConstraint("(state IN ('DONE', 'PARKED')) = (finished_at IS NOT NULL)", name="finished_has_time"),
    Index("ix_jobs_state", "state", "kind", "id"),
    Index("ix_jobs_finished", "state", "kind", "finished_at"),
    sqlite_autoincrement=True,
)

# A parked job counts too: when a person brings it back, it must not meet a second one.
_OPEN_ANALYSIS = text("kind = 'ANALYSE' AND state <> 'DONE'")
_OPEN_REPORT = text("kind = 'REPORT' AND state <> 'DONE'")

Index(
    "one_open_analysis",
    jobs.c.sop_instance_uid,
    unique=True,
    sqlite_where=_OPEN_ANALYSIS,
)
Index(
    "one_open_report",
    jobs.c.study_uid,
    unique=True,
    sqlite_where=_OPEN_REPORT,
)

reports: Final = Table(
    "reports",
    metadata,
    Column("id", Integer, primary_key=True),
    # no foreign key: a report that peers have outlives its study, whose next one must name it
    Column("study_uid", UID, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("images", Integer, nullable=False),
    Column("content_digest", DIGEST, nullable=False),
    # sequence of its predecessor
    Column("replaces", Integer),
    # False once a newer report under its identity replaced it, a changed header made it untrue, or its
    # study was forgotten
    Column("current", Boolean, nullable=False),
    Column("sr_sop_class_uid", UID),
    Column("sr_sop_instance_uid", UID),
    Column("sr_series_uid", UID),
    # Study Instance UID that it has: that of its senders, to whom it may be another; none before 1.3
    Column("sr_study_uid", UID),
    # digest of patient and study that it copies; "" where a version before 1.3 has made it
    Column("identity", DIGEST, nullable=False, server_default=""),
    UniqueConstraint("study_uid", "sequence"),
    sqlite_autoincrement=True,
)

_CURRENT = text("current")

Index(
    "one_current_report",
    reports.c.study_uid,
    reports.c.identity,
    unique=True,
    sqlite_where=_CURRENT,
)

# Under whose identity a report was made. Outlives its study, as reports do; one without is everybody's.
report_senders: Final = Table(
    "report_senders",
    metadata,
    Column("report_id", Integer, ForeignKey("reports.id"), primary_key=True, autoincrement=False),
    Column("ae_title", AE, primary_key=True),
)


def _scanner_and_network() -> tuple[Column[str], ...]:
    """Return the columns that name what a score depends on: the kind of scanner, and the network."""
    return (
        Column("manufacturer", characters(64), nullable=False),
        Column("scanner_model", characters(64), nullable=False),
        Column("network", Text, nullable=False),
        Column("network_version", Text, nullable=False),
    )


# What each report states of each breast. Outlives its study, as reports do: a scanner's population is made of
# it, and a report that is made again states the same.
breast_scores: Final = Table(
    "breast_scores",
    metadata,
    Column("report_id", Integer, ForeignKey("reports.id"), primary_key=True, autoincrement=False),
    # place in the report, from 0
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("laterality", characters(1)),
    *_scanner_and_network(),
    # on the network's own scale, as the threshold is
    Column("malignant", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("threshold_source", Text, nullable=False),
    Column("flagged", Boolean, nullable=False),
    # share of lower scores among so many examinations before, in percent
    Column("percentile", Integer),
    Column("examinations", Integer),
    Column("reported_at", Instant, nullable=False),
    CheckConstraint("(percentile IS NULL) = (examinations IS NULL)", name="percentile_of_examinations"),
    Index(
        "ix_breast_scores_scanner",
        "manufacturer",
        "scanner_model",
        "network",
        "network_version",
        "reported_at",
        "report_id",
        "malignant",
    ),
)

# Thresholds set for a scanner and a network; the latest is in force.
calibrations: Final = Table(
    "calibrations",
    metadata,
    Column("id", Integer, primary_key=True),
    *_scanner_and_network(),
    Column("threshold", Float, nullable=False),
    # wanted share of flagged examinations
    Column("flag_rate", Float, nullable=False),
    # scores of the examinations that it was made from, lowest first
    Column("population", Numbers, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("accepted_by", characters(64), nullable=False),
    Index("ix_calibrations_scanner", "manufacturer", "scanner_model", "network", "network_version", "id"),
    sqlite_autoincrement=True,
)

results: Final = Table(
    "results",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("study_uid", UID, ForeignKey("studies.study_uid"), nullable=False, index=True),
    # a word of the code's table of kinds: no CHECK, so that a new kind needs no migration
    Column("kind", characters(16), nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    # in which a peer may take it instead, with the same content
    Column("alternative_class_uid", UID),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("series_uid", UID, nullable=False),
    Column("file", FILE, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("report_id", Integer, ForeignKey("reports.id"), nullable=False, index=True),
    # place in the order in which its report is sent, from 0
    Column("position", Integer, nullable=False),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sop_instance_uid", UID, ForeignKey("results.sop_instance_uid"), nullable=False),
    Column("destination", AE, nullable=False),
    Column("state", words(DeliveryState, "state"), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("last_status", Integer),
    Column("reason", Text),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    # where the peer took it in another SOP class, hence under another UID
    Column("sent_as", UID),
    UniqueConstraint("sop_instance_uid", "destination"),
    CheckConstraint("(state = 'SENT') = (sent_at IS NOT NULL)", name="sent_has_time"),
    Index("ix_deliveries_state", "state", "destination", "not_before"),
    Index("ix_deliveries_sent", "destination", "sent_at"),
    Index("ix_deliveries_sent_at", "sent_at"),
    sqlite_autoincrement=True,
)

# One row for each delivered object whose destination is asked to commit itself to keep it (PS3.4 annex J).
commitments: Final = Table(
    "commitments",
    metadata,
    Column("delivery_id", Integer, ForeignKey("deliveries.id"), primary_key=True, autoincrement=False),
    Column("state", words(CommitmentState, "state"), nullable=False),
    # as sent: the peer may have taken the object in another SOP class, hence under another UID
    Column("sop_class_uid", UID, nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    # last time that the peer took the object
    Column("sent_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    # how often the peer said that it does not keep it
    Column("failures", Integer, nullable=False),
    # when to ask: for the first time, or again if no report has come
    Column("not_before", Instant, nullable=False),
    Column("asked_at", Instant),
    Column("committed_at", Instant),
    # Failure Reason (0008,1197) of the last failure
    Column("failure_reason", Integer),
    Column("reason", Text),
    CheckConstraint("(state = 'COMMITTED') = (committed_at IS NOT NULL)", name="committed_has_time"),
    CheckConstraint("state <> 'ASKED' OR asked_at IS NOT NULL", name="asked_has_time"),
    Index("ix_commitments_state", "state", "not_before"),
)

commitment_requests: Final = Table(
    "commitment_requests",
    metadata,
    Column("transaction_uid", UID, primary_key=True),
    Column("destination", AE, nullable=False),
    Column("opened_at", Instant, nullable=False),
    # first report that named this transaction
    Column("answered_at", Instant),
)

commitment_items: Final = Table(
    "commitment_items",
    metadata,
    Column("transaction_uid", UID, ForeignKey("commitment_requests.transaction_uid"), primary_key=True),
    Column("delivery_id", Integer, ForeignKey("commitments.delivery_id"), primary_key=True, index=True),
)

# What peers asked us to commit ourselves to keep, until they have been told.
commitment_questions: Final = Table(
    "commitment_questions",
    metadata,
    Column("peer", AE, primary_key=True),
    Column("transaction_uid", UID, primary_key=True),
    Column("sop_class_uids", Texts, nullable=False),
    Column("sop_instance_uids", Texts, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
)

# How many rows have come to an end, by kind of job or destination: see `transitions.tallies`.
tallies: Final = Table(
    "tallies",
    metadata,
    Column("subject", characters(16), primary_key=True),
    Column("name", AE, primary_key=True),
    Column("state", characters(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# What was not taken: it has no row of its own, hence a number. No SOP class where it is no object.
refusals: Final = Table(
    "refusals",
    metadata,
    Column("peer", AE, primary_key=True),
    Column("sop_class_uid", UID, primary_key=True),
    Column("reason", words(Refused, "reason"), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("last_at", Instant, nullable=False),
)

# Who called, by title and address: admitted callers and those that were turned away. Bounded, see `calls`.
callers: Final = Table(
    "callers",
    metadata,
    Column("calling_ae", AE, primary_key=True),
    Column("address", AE, primary_key=True),
    Column("admitted", BigInteger, nullable=False),
    Column("admitted_at", Instant),
    Column("rejected", BigInteger, nullable=False),
    Column("rejected_at", Instant),
    # why the last one was rejected, in the words of the log
    Column("reason", Text),
    # latest of both times
    Column("last_at", Instant, nullable=False, index=True),
)

# Who may use the console, once there is anybody.
users: Final = Table(
    "users",
    metadata,
    Column("name", characters(64), primary_key=True),
    Column("role", characters(16), nullable=False),
    # Argon2, with its salt and its costs
    Column("password_hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    # wrong passwords in a row
    Column("failures", Integer, nullable=False),
    Column("locked_until", Instant),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    # digest of issuer and subject, where an OpenID provider vouches for the user, who has no password here
    Column("subject", DIGEST),
    Index("ix_users_subject", "subject", unique=True),
)

# What stands for a user: the secret of a browser that has signed in, or a token of a program. Kept as digest.
credentials: Final = Table(
    "credentials",
    metadata,
    Column("digest", DIGEST, primary_key=True),
    Column("user_name", characters(64), ForeignKey("users.name"), nullable=False, index=True),
    # of a token; NULL of a browser
    Column("label", characters(64)),
    Column("created_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)

# What needs a person, for each channel over which one is told. Nobody is named in it.
alerts: Final = Table(
    "alerts",
    metadata,
    Column("channel", characters(16), primary_key=True),
    # a word of the code: no CHECK, so that a new kind needs no migration
    Column("kind", characters(32), primary_key=True),
    # the peer or certificate that it is about, else empty
    Column("subject", characters(64), primary_key=True),
    Column("words", Text, nullable=False),
    Column("raised_at", Instant, nullable=False),
    # when a person was told last; NULL while nobody was
    Column("told_at", Instant),
    # since when it is so no more
    Column("gone_at", Instant),
)

# Processes that share the work, where there are roles: each has a row while it lives.
machines: Final = Table(
    "machines",
    metadata,
    Column("name", characters(96), primary_key=True),
    Column("role", characters(16), nullable=False),
    Column("host", characters(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    # whether it does its work now; a second one that delivers waits for the first to end
    Column("ready", Boolean, nullable=False),
    # AE titles that have an association open with it
    Column("busy", Texts, nullable=False),
)

events: Final = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_uid", UID, nullable=False, index=True),
    Column("event", characters(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("fields", Text, nullable=False),
    sqlite_autoincrement=True,
)


def numbered() -> list[str]:
    """Return the tables whose rows have numbers that are never used again."""
    return [
        table.name for table in metadata.sorted_tables if table.dialect_kwargs.get("sqlite_autoincrement")
    ]
