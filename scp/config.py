"""``config.toml`` → frozen `Settings`: read once, passed in, every error names its key.

Keys are documented where they are declared. ``SECONDREAD_<SECTION>__<KEY>`` in the environment overrides
the file, for example ``SECONDREAD_NODE__PORT=104``.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.options import OutputOptions

ENVIRONMENT_PREFIX: Final = "SECONDREAD_"
NOT_SETTINGS: Final = frozenset({"SECONDREAD_REQUIRE_PEERS"})
PACKAGES: Final = ("scp", "inference", "storage", "models")


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, key, value and what is allowed."""


def _ae_title(value: str) -> str:
    if not re.fullmatch(r"[ !-\[\]-~]{1,16}", value) or not value.strip():
        raise ValueError(
            "an AE title has 1 to 16 ASCII characters, no backslash, not only spaces (PS3.5 6.2)"
        )
    return value.strip()


def _network(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(Section):
    """Section ``[node]``: who we are, where we listen, where data lives."""

    ae_title: AETitle = "SECONDREAD"
    """Called AE title; callers that use another one are rejected."""
    host: str = "0.0.0.0"  # noqa: S104 - a DICOM node is there to be called; strangers are rejected
    """Address to listen at."""
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    """Port to listen at; 0 takes a free one."""
    data_dir: Path = Path("var")
    """Database, images and results; relative to the configuration file."""
    disk_reserve_mb: Annotated[int, Field(ge=0)] = 2000
    """Below so many free megabytes, stores are answered 0xA700."""
    max_pdu: Annotated[int, Field(ge=16384, le=1 << 24)] = 131072
    """Bytes of a PDU that we offer to receive; measured, larger ones gain nothing."""
    max_associations: Annotated[int, Field(ge=1)] = 64
    """Associations open at a time."""
    max_associations_per_address: Annotated[int, Field(ge=1)] = 32
    """The same, from one address."""
    acse_timeout_seconds: Seconds = 15
    """How long a connection may take to ask for an association."""
    dimse_timeout_seconds: Seconds = 60
    """How long a peer may take to answer a message."""
    network_timeout_seconds: Seconds = 120
    """How long an association may be silent."""


class Peer(Section):
    """One ``[[peers]]``: who may store, and where results go."""

    ae_title: AETitle
    addresses: tuple[Network, ...] = ()
    """Addresses or networks from which it may call; empty: any."""
    host: str | None = None
    """Where its own Storage SCP listens; without host and port nothing can be sent to it."""
    port: Port | None = None
    results_to: tuple[AETitle, ...] | None = None
    """Peers that get the results of what this one sends; left out: itself; empty: nobody."""
    sr_class: Literal["comprehensive", "comprehensive3d"] | None = None
    """SOP class of the reports that it is sent; left out: as ``[outputs]`` says."""

    @model_validator(mode="after")
    def _whole_address(self) -> Self:
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port belong together: give both or neither")
        return self


class Study(Section):
    """Section ``[study]``: when a study counts as complete."""

    quiet_seconds: Seconds = 180
    """No new image for so long means that the sender is done, where the four standard views are not in."""


class Model(Section):
    """Section ``[model]``: which network reads."""

    name: str = "document-cnn-1.0.0"
    """A shipped ``<name>-<version>``, or the path of such a folder."""


class Outputs(Section):
    """Section ``[outputs]``: what is made."""

    sr_class: Literal["comprehensive", "comprehensive3d"] = "comprehensive"
    sc_modality: Literal["OT", "MG"] = "OT"
    """Modality of the heatmaps; MG lets hanging protocols place them among the mammograms."""
    sc_max_side: Annotated[int, Field(ge=256, le=8192)] = 2048
    """Pixels of the longest side of a heatmap; never enlarged."""
    notice: bool = True
    """Whether a page names the images that were not analysed."""

    def options(self) -> OutputOptions:
        """Return the options as the room that builds the objects knows them."""
        return OutputOptions(
            sr_class=self.sr_class,
            sc_modality=self.sc_modality,
            sc_max_side=self.sc_max_side,
            notice=self.notice,
        )


class Delivery(Section):
    """Section ``[delivery]``: how results are sent."""

    first_retry_seconds: Seconds = 30
    """Wait after the first failure; doubles with each one."""
    longest_retry_seconds: Seconds = 900
    connect_timeout_seconds: Seconds = 15
    """How long a peer may take to accept a connection and an association."""
    answer_timeout_seconds: Seconds = 120
    """How long it may take to answer one C-STORE."""


class Worker(Section):
    """Section ``[worker]``: the process that analyses."""

    lease_seconds: Annotated[float, Field(ge=4)] = 60
    """A claimed job without a heartbeat for so long goes back to the queue."""
    job_timeout_seconds: Seconds = 300
    """A job that takes longer has its process ended; the second time it is parked."""


class Retention(Section):
    """Section ``[retention]``: how long delivered studies are kept."""

    days: Annotated[float, Field(gt=0)] = 14
    """Counted from the last delivery. What is owed is never removed."""


class Log(Section):
    """Section ``[log]``."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["console", "json"] = "console"


class Settings(Section):
    """The whole configuration."""

    node: Node = Node()
    peers: tuple[Peer, ...] = ()
    study: Study = Study()
    model: Model = Model()
    outputs: Outputs = Outputs()
    delivery: Delivery = Delivery()
    worker: Worker = Worker()
    retention: Retention = Retention()
    log: Log = Log()

    @model_validator(mode="after")
    def _known_peers(self) -> Self:
        titles = [peer.ae_title for peer in self.peers]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise ValueError(f"peers: AE title {min(twice)!r} stands there twice")
        for peer in self.peers:
            for title in peer.results_to or ():
                if title not in titles:
                    raise ValueError(
                        f"peers: results_to of {peer.ae_title!r} names {title!r}, which is no peer"
                    )
        return self

    def peer(self, ae_title: str) -> Peer | None:
        """Return the peer of that AE title, or None for a stranger."""
        return next((peer for peer in self.peers if peer.ae_title == ae_title), None)

    def destinations(self, ae_title: str) -> tuple[str, ...]:
        """Return the AE titles that get the results of what ``ae_title`` sends."""
        peer = self.peer(ae_title)
        if peer is None:
            return ()
        return (peer.ae_title,) if peer.results_to is None else peer.results_to


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings from the TOML file at ``path`` and from ``environ``. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; give one with --config, or copy config.toml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate(_overridden(raw, environ))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_sentence(one)}" for one in error.errors())) from None
    return _at(settings, path)


def admission_lines(ae_title: str, address: str) -> str:
    """Return the TOML that would admit a caller (its port, which a call does not tell, is the usual one)."""
    return (
        f"[[peers]]\nae_title = {json.dumps(ae_title)}\naddresses = [{json.dumps(address)}]\n"
        f"host = {json.dumps(address)}\nport = 104  # where its Storage SCP listens"
    )


def _at(settings: Settings, path: Path) -> Settings:
    """Make ``data_dir`` absolute and refuse one inside a package, where an upgrade would remove it."""
    data_dir = (path.resolve().parent / settings.node.data_dir.expanduser()).resolve()
    root = Path(__file__).resolve().parents[1]
    if any(data_dir.is_relative_to(root / package) for package in PACKAGES):
        raise ConfigError(
            f"{path}: node.data_dir = {str(data_dir)!r} lies inside the program: choose another folder"
        )
    return settings.model_copy(update={"node": settings.node.model_copy(update={"data_dir": data_dir})})


def _overridden(raw: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return ``raw`` with the environment's values; numbers and lists are read as TOML, the rest as text."""
    merged = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in NOT_SETTINGS:
            continue
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if not separator or section not in Settings.model_fields or section == "peers":
            raise ConfigError(
                f"environment: {name} names no setting; the form is {ENVIRONMENT_PREFIX}NODE__PORT"
            )
        merged.setdefault(section, {})[key] = _value(text)
    return merged


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    given = "" if error["type"] == "missing" or not error["loc"] else f" = {error['input']!r}"
    return f"{key or 'configuration'}{given}: {error['msg'].removeprefix('Value error, ')}"
