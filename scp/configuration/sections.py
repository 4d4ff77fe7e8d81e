"""Sections of the configuration: each key, its limits, its default and what it is for.

Sections that one room alone reads have a file of their own beside this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from inference.network import shipped
from scp.configuration import sent_objects
from scp.configuration.values import (
    AETitle,
    CharacterSet,
    Compression,
    Fingerprint,
    FlagSetting,
    Host,
    Network,
    Port,
    SCModality,
    Seconds,
    Section,
    SRClass,
    Subject,
    resolved,
)
from scp.configuration.web import WebPeer

if TYPE_CHECKING:
    from inference.options import OutputOptions
    from inference.reading.options import ReadingOptions

DEFAULT_DATA_DIR: Final = Path("var")
_ROUNDING: Final = 0.001
"""By so much four rounded shares may miss 1."""
IMAGE_OF_BATCH_MB: Final = 200
"""What each image of a batch takes until the network has read it; as much is left to the rest of a job."""
PACKAGES: Final = ("scp", "inference", "storage", "models")


class Node(Section):
    """Who this node is, where it listens and what it puts up with. Section ``[node]``."""

    ae_title: AETitle = "SECONDREAD"
    """What peers must call it; an association that calls another title is rejected."""
    host: Host = "0.0.0.0"  # noqa: S104 - a node that modalities cannot reach is no node
    """Address to listen at; 0.0.0.0 is every address of this machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    """Port to listen at; 0 takes a free one, which the log names."""
    role: Literal["all", "receive", "work", "deliver", "console"] = "all"
    """What this process does; all but "all" share a PostgreSQL database and a data directory with others."""
    receiving_processes: Annotated[int, Field(ge=1, le=16)] = 2
    """Processes that receive, this one among them; each can use one core. Associations with TLS stay here."""
    data_dir: Path = DEFAULT_DATA_DIR
    """Where images, database and results are kept; relative to the configuration file."""
    disk_reserve_mb: Annotated[int, Field(ge=0, le=100_000_000)] = 2000
    """Below so many free megabytes images are refused with 0xA700 and accepted again by themselves."""
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 64
    """Open associations in all; one more is rejected as "local limit exceeded"."""
    max_associations_per_address: Annotated[int, Field(ge=1, le=1000)] = 32
    """Open associations of one address, so that one peer cannot shut out the others."""
    max_pdu: Annotated[int, Field(ge=4096, le=16_777_216)] = 131_072
    """Bytes of the longest protocol data unit; larger is faster and takes more memory."""
    foreign: Literal["drop", "refuse"] = "drop"
    """What is no mammogram: answer it with success and keep nothing of it, or refuse it with 0xA900."""
    acse_timeout_seconds: Seconds = 15
    """How long a peer may take to answer about an association."""
    dimse_timeout_seconds: Seconds = 60
    """How long a peer may take for one message."""
    network_timeout_seconds: Seconds = 120
    """How long an open association may be idle."""

    burned_in: Literal["refuse", "analyse"] = "refuse"
    """What becomes of captures with marks in their pixels: other systems' results, mostly."""
    character_set: CharacterSet = ""
    """Of names whose header declares none, or a wrong one; empty: UTF-8 where it can be, else Latin-1."""

    @property
    def shares(self) -> bool:
        """Whether this process shares the work with others."""
        return self.role != "all"

    def reading(self) -> ReadingOptions:
        """Return how headers are read, in the words of `inference`."""
        # imported here as in `Outputs.options`
        from inference.reading.options import ReadingOptions  # noqa: PLC0415

        return ReadingOptions(burned_in=self.burned_in, character_set=self.character_set)

    @field_validator("data_dir")
    @classmethod
    def _outside_the_program(cls, value: Path, info: ValidationInfo) -> Path:
        if not value.parts:
            raise ValueError('a directory is allowed; for the one of this file write "."')
        chosen = resolved(value, info)
        home = Path(__file__).resolve().parent.parent.parent
        for package in (home / name for name in PACKAGES):
            if chosen.is_relative_to(package):
                raise ValueError(
                    f"data may not lie inside the program ({package}), where an upgrade would remove it: "
                    "name a directory of its own"
                )
        return chosen


class Peer(WebPeer):
    """An application entity that may store, receive or both. Each ``[[peers]]`` is one."""

    ae_title: AETitle
    """Its calling AE title; also the name that ``results_to`` uses."""
    addresses: tuple[Network, ...] = ()
    """Where it may call from; empty means anywhere."""
    host: Host | None = None
    """Where it receives: a calling AE title is no return address. Without it nothing is sent there."""
    port: Port | None = None
    """The port at which it receives."""
    tls: bool = False
    """Whether it must call with TLS, at the port of ``[tls]``, and is called with TLS itself."""
    tls_name: Annotated[str, Field(max_length=253, pattern=r"^\S*$")] | None = None
    """Name or address that its certificate must hold when we call it; by default ``host``, ``""`` is any."""
    certificate_sha256: Fingerprint | None = None
    """SHA-256 fingerprint of its certificate: any other is refused, whoever has signed it."""
    certificate_subject: Subject | None = None
    """What the subject of its certificate must name; unlike the fingerprint it outlives a renewal."""
    results_to: tuple[AETitle, ...] | None = None
    """AE titles of the peers that get the results of what it sends; by default itself, ``[]`` is nobody."""
    objects: tuple[sent_objects.Word, ...] = sent_objects.USUAL
    """Which results it is sent."""
    contours_twice: bool = False
    """Whether more than one of report, cad_sr and gsps may be among ``objects``: each draws the regions."""
    sr_class: SRClass | None = None
    """The SR class that it is sent; by default that of ``[outputs]``."""
    sc_modality: SCModality | None = None
    """Modality of the pictures that it is sent; by default that of ``[outputs]``."""
    region: Literal["rectangle", "outline"] = "rectangle"
    """How its report draws a region: OHIF lists rectangles under readable names, and keeps outlines."""
    compression: tuple[Compression, ...] = ()
    """Of the pictures that it is sent, the best first; what it refuses compressed is sent without."""
    commitment: bool = False
    """Whether it is asked to commit itself to keep what it was sent (Storage Commitment)."""

    @model_validator(mode="after")
    def _objects_make_sense(self) -> Self:
        sent_objects.check(self.objects, contours_twice=self.contours_twice)
        return self

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of results that it is sent, as `inference.results.kinds` names them."""
        kinds = frozenset(sent_objects.KIND_OF[word] for word in self.objects)
        outlined = {"SR"} if self.region == "outline" else set()
        return (kinds - outlined) | {f"{kind}-OUTLINE" for kind in kinds & outlined}

    @property
    def destinations(self) -> tuple[str, ...]:
        """AE titles of the peers that results of this peer's studies go to."""
        return (self.ae_title,) if self.results_to is None else self.results_to

    @property
    def address(self) -> str:
        """The machine that results go to, "" where none is configured."""
        return self.host or urlsplit(self.url or "").hostname or ""

    @property
    def reachable(self) -> bool:
        """Whether it is known where this peer receives."""
        return self.url is not None or (self.host is not None and self.port is not None)


class Study(Section):
    """When a study that has not its four standard views counts as complete. Section ``[study]``."""

    quiet_seconds: Seconds = 180
    """So long after its last image, however many there are."""


class Shares(Section):
    """How frequent the classes are among the breasts of this site. Section ``[model.shares]``."""

    normal: Annotated[float, Field(gt=0, lt=1)]
    benign: Annotated[float, Field(gt=0, lt=1)]
    benign_without_callback: Annotated[float, Field(gt=0, lt=1)]
    malignant: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _all_breasts(self) -> Self:
        whole = sum(self.in_order())
        if abs(whole - 1) > _ROUNDING:
            raise ValueError(f"the four shares must add up to 1, these to {whole:g}")
        return self

    def in_order(self) -> tuple[float, float, float, float]:
        """Return the shares in the order of the network's classes."""
        return self.normal, self.benign, self.benign_without_callback, self.malignant


class Model(Section):
    """Which trained network reads. Section ``[model]``."""

    name: Annotated[str, Field(min_length=1)] = shipped.DEFAULT
    """A shipped model, or a folder with a manifest (``./my-model``, relative to the configuration file)."""
    manifest_sha256: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$")] = ""
    """What the manifest's SHA-256 must be; empty: of a shipped model what it was, of another anything."""

    flag: FlagSetting = "specificity-90"
    """From which malignant score a breast is flagged: a point of the model, or a score of 0 to 1."""
    shares: Shares | None = None
    """How frequent the classes are here; where given they move the scores that are shown, ``{}`` is not."""
    calibration: Literal["manual", "automatic"] = "manual"
    """Who puts thresholds of scanners in force: a person with ``calibrate --accept``, or the node itself."""
    flag_rate: Annotated[float, Field(ge=0.001, le=0.5)] = 0.10
    """Share of examinations that a calibration is to flag."""

    @field_validator("shares", mode="before")
    @classmethod
    def _none_given(cls, value: object) -> object:
        return None if value == {} else value

    @field_validator("name")
    @classmethod
    def _absolute(cls, value: str, info: ValidationInfo) -> str:
        if "/" not in value and "\\" not in value:
            return value
        return str(resolved(Path(value), info))


class Outputs(Section):
    """What is sent back. Section ``[outputs]``."""

    sr_class: SRClass = "comprehensive"
    """SOP class of the report: Comprehensive SR or Comprehensive 3D SR."""
    sc_modality: SCModality = "OT"
    """Modality of the heatmaps; MG makes some viewers hang them among the mammograms."""
    sc_max_side: Annotated[int, Field(ge=512, le=8192)] = 2048
    """Pixels of the heatmap's longest side; on less than 512 its legend could not be read."""
    summary: bool = True
    """Whether a page sums the study up: its four views, flag and score of each breast."""
    notice: bool = True
    """Whether a page says which images could not be analysed, and why."""

    def options(self) -> OutputOptions:
        """Return the same in the words of `inference`."""
        # imported here: pydicom comes with it, and `secondread --help` needs none
        from inference.options import OutputOptions  # noqa: PLC0415

        return OutputOptions(
            sr_class=self.sr_class,
            sc_modality=self.sc_modality,
            sc_max_side=self.sc_max_side,
            summary=self.summary,
            notice=self.notice,
        )


class Delivery(Section):
    """How results are sent, and sent again. Section ``[delivery]``."""

    first_retry_seconds: Seconds = 30
    """Wait after the first failure; it doubles with every further one."""
    longest_retry_seconds: Seconds = 900
    """The longest that the wait grows to."""
    connect_timeout_seconds: Seconds = 15
    """How long a peer may take to accept a connection and an association."""
    answer_timeout_seconds: Seconds = 120
    """How long a peer may take no byte of an object, and then to answer; a large object has longer in all."""
    commitment_linger_seconds: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 2
    """How long an association stays open for the report on the storage commitment asked for over it."""
    commitment_timeout_seconds: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 21_600
    """How long a peer may take to report; then it is asked again."""
    check_objects: bool = True
    """Whether each object is checked before it is sent, and parked where it breaks the standard."""

    @field_validator("longest_retry_seconds")
    @classmethod
    def _not_shorter_than_the_first(cls, value: float, info: ValidationInfo) -> float:
        first = info.data.get("first_retry_seconds", 0)
        if value < first:
            raise ValueError(f"at least first_retry_seconds ({first:g}) is allowed")
        return value


class Worker(Section):
    """The processes that read images and write reports. Section ``[worker]``."""

    processes: Annotated[int, Field(ge=1, le=64)] = 2
    """How many at most; all but the first start when they are needed."""
    lease_seconds: Annotated[float, Field(ge=2, le=3600, allow_inf_nan=False)] = 60
    """How long a job stays with a worker that gives no sign of life."""
    job_timeout_seconds: Annotated[float, Field(ge=10, le=86_400, allow_inf_nan=False)] = 300
    """How long one job may take before its worker is ended."""
    job_memory_mb: Annotated[int, Field(ge=256, le=1_000_000)] = 4000
    """Megabytes that one job may take besides what the loaded network takes."""
    device: Literal["cpu", "gpu"] = "cpu"
    """Where the network computes: ``gpu`` needs the extra ``cuda``."""
    batch: Annotated[int, Field(ge=1, le=64)] = 1
    """Images that the network reads in one call: more than one for a graphics card."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 0
    """Milliseconds for which a batch waits for more images."""

    @field_validator("batch")
    @classmethod
    def _fits_into_memory(cls, value: int, info: ValidationInfo) -> int:
        needed = (value + 1) * IMAGE_OF_BATCH_MB
        if value > 1 and needed > info.data.get("job_memory_mb", needed):
            raise ValueError(f"with so many images job_memory_mb must be {needed} at least")
        return value


class Retention(Section):
    """How long delivered studies are kept. What is owed is never removed. Section ``[retention]``."""

    image_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = 14
    """The pixels of its images go so many days after its last delivery; what is made of them stays."""

    days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = 14
    """A study goes so many days after its last delivery, earlier where the disk is nearly full, if nothing
    of it is owed or parked."""


class Log(Section):
    """What the node writes to standard error. Section ``[log]``."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["console", "json"] = "console"
    """For people, or one JSON object a line for programs."""
