"""The configuration: one TOML file, read once into frozen values that the rest is given.

`scp.configuration.sections` declares every key and `scp.configuration.values` their types,
`scp.configuration.errors` says what is wrong with one, `scp.configuration.source` knows where the values come
from. Unknown keys are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from scp.configuration import source
from scp.configuration.alerts import Alerts
from scp.configuration.audit import Audit
from scp.configuration.console import Console
from scp.configuration.database import DatabaseServer
from scp.configuration.errors import ConfigError, sentences
from scp.configuration.files import Files
from scp.configuration.health import Health
from scp.configuration.openid import OpenID
from scp.configuration.sections import (
    DEFAULT_DATA_DIR,
    Delivery,
    Log,
    Model,
    Node,
    Outputs,
    Peer,
    Retention,
    Study,
    Worker,
)
from scp.configuration.tls import TLS
from scp.configuration.values import FOLDER, Section
from scp.configuration.web import Stow

USUAL_DICOM_PORT: Final = 104


RELOADED: Final = ("peers", "study", "delivery", "retention", "alerts", "log")
"""Sections that may change while the node runs: looked at whenever it is needed, or made to follow."""


class Settings(Section):
    """The whole configuration. Its sections never change; `adopt` alone puts others in the place of some."""

    node: Node = Field(default_factory=Node)
    database: DatabaseServer = Field(default_factory=DatabaseServer)
    files: Files = Field(default_factory=Files)
    tls: TLS = Field(default_factory=TLS)
    peers: tuple[Peer, ...] = ()
    study: Study = Field(default_factory=Study)
    model: Model = Field(default_factory=Model)
    outputs: Outputs = Field(default_factory=Outputs)
    delivery: Delivery = Field(default_factory=Delivery)
    worker: Worker = Field(default_factory=Worker)
    retention: Retention = Field(default_factory=Retention)
    console: Console = Field(default_factory=Console)
    openid: OpenID = Field(default_factory=OpenID)
    stow: Stow = Field(default_factory=Stow)
    alerts: Alerts = Field(default_factory=Alerts)
    audit: Audit = Field(default_factory=Audit)
    health: Health = Field(default_factory=Health)
    log: Log = Field(default_factory=Log)

    @field_validator("peers")
    @classmethod
    def _agree(cls, peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
        _check_names(peers)
        _check_destinations(peers)
        return peers

    @model_validator(mode="after")
    def _bucket_beside_a_server(self) -> Self:
        if self.files.in_bucket and not self.database.url:
            raise ValueError(
                "files.url keeps files in a bucket, which goes with a PostgreSQL database alone: give "
                '[database] url, or leave it empty ("") to keep files in [node] data_dir'
            )
        return self

    @model_validator(mode="after")
    def _stow_is_safe(self) -> Self:
        if self.stow.enabled and not self.stow.local and not self.tls.on:
            raise ValueError(
                "stow.host is an address that others can call, and tokens and images would come in clear: "
                'give [tls] certificate, key and authorities, or let it listen at "127.0.0.1"'
            )
        if self.stow.enabled and all(peer.stow_token is None for peer in self.peers):
            raise ValueError(
                "stow.enabled = true lets nobody store: give a peer a stow_token, or set it to false"
            )
        return self

    @model_validator(mode="after")
    def _tls_where_it_is_wanted(self) -> Self:
        if self.audit.encrypted and not self.tls.on:
            raise ValueError(
                'audit.to = "tls://…" shows the certificate of [tls]: give [tls] certificate, key and '
                "authorities, or call it without TLS"
            )
        for number, peer in enumerate(self.peers, start=1):
            entry = f"peers[{number}] ({peer.ae_title!r})"
            if peer.tls and not self.tls.on:
                raise ValueError(
                    f"{entry} has tls = true: give [tls] certificate, key and authorities, or set it to false"
                )
            checked = ("tls_name", "certificate_sha256", "certificate_subject")
            named = [key for key in checked if getattr(peer, key) is not None]
            if not peer.tls and named:
                raise ValueError(
                    f"{entry} has {' and '.join(named)}, which nobody checks without tls = true: "
                    "set it, or take them away"
                )
        return self

    def peer(self, ae_title: str) -> Peer | None:
        """Return the peer of that AE title, or None for a stranger."""
        return next((peer for peer in self.peers if peer.ae_title == ae_title), None)

    def destinations(self, ae_title: str) -> tuple[str, ...]:
        """Return where results of a study go that came from ``ae_title``; nowhere for a stranger."""
        peer = self.peer(ae_title)
        return () if peer is None else peer.destinations

    def takes(self, destination: str, kind: str) -> bool:
        """Tell whether ``destination`` is sent results of this ``kind``; one that is unknown, all."""
        peer = self.peer(destination)
        return peer is None or kind in peer.kinds

    def merged(self, read: Settings) -> Settings:
        """Return these settings with the `RELOADED` sections of ``read``.

        Raises pydantic's ValidationError where they contradict the sections that stay.
        """
        sections = {name: getattr(self, name) for name in Settings.model_fields}
        return Settings(**(sections | {name: getattr(read, name) for name in RELOADED}))

    def adopt(self, merged: Settings) -> None:
        """Put the `RELOADED` sections of ``merged`` in force for all who hold this object."""
        # one update of a dictionary with text as keys: no thread sees half of it
        self.__dict__.update({name: getattr(merged, name) for name in RELOADED})


def other_keys(old: Settings, new: Settings) -> list[str]:
    """Return the keys outside of the `RELOADED` sections that differ, such as ``node.port``."""
    return [
        f"{name}.{key}"
        for name in Settings.model_fields
        if name not in RELOADED
        for key in type(getattr(old, name)).model_fields
        if getattr(getattr(old, name), key) != getattr(getattr(new, name), key)
    ]


def defaults() -> Settings:
    """Return the settings of an empty configuration file."""
    return Settings.model_validate_json(json.dumps(_with_sections({})))


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the configuration file and what the environment overrides.

    Raises
    ------
    ConfigError
        With a sentence for everything that is wrong: file, key, value and what is allowed.
    """
    document, origins = source.read(path, environ, Settings)
    document = _with_sections(document)
    if isinstance(node := document["node"], dict):
        node.setdefault(
            "data_dir", str(DEFAULT_DATA_DIR)
        )  # so that the default, too, is relative to the file
    try:
        # JSON, because pydantic's strict mode takes an array for a tuple and text for a path only there
        return Settings.model_validate_json(
            json.dumps(document, default=str), context={FOLDER: path.resolve().parent}
        )
    except ValidationError as error:
        raise ConfigError(path, sentences(error, document, Settings, origins)) from error


def _with_sections(document: source.Document) -> source.Document:
    """Return ``document`` with each section, empty where it has none.

    A default would be made by a validator of its own, and each of these would be built for that alone.
    """
    return {name: {} for name in source.sections(Settings)} | document


def admission_lines(
    ae_title: str, address: str, *, certificate: str | None = None, receivers: Sequence[str] = ()
) -> str:
    """Return the lines for the configuration file that would admit the unknown peer ``ae_title``.

    ``certificate`` is the SHA-256 of the one that it has shown, None where it came without; ``receivers`` are
    the peers that can be sent results, for one that only sends.
    """
    secure = () if certificate is None else ("tls = true", f"certificate_sha256 = {json.dumps(certificate)}")
    return "\n".join(
        (
            "[[peers]]",
            f"ae_title = {json.dumps(ae_title)}",
            f"addresses = [{json.dumps(address)}]",
            f"host = {json.dumps(address)}",
            f"port = {USUAL_DICOM_PORT} # correct it: the port at which this peer receives results",
            "# where it only sends, instead of host and port: who receives its results",
            f"# results_to = {json.dumps(list(receivers))}",
            *secure,
        )
    )


def _check_names(peers: tuple[Peer, ...]) -> None:
    names: set[str] = set()
    for number, peer in enumerate(peers, start=1):
        if peer.ae_title in names:
            raise ValueError(
                f"peers[{number}].ae_title = {peer.ae_title!r} is there twice: one entry for each peer"
            )
        names.add(peer.ae_title)
        if (peer.host is None) != (peer.port is None):
            missing = "host" if peer.host is None else "port"
            raise ValueError(
                f"peers[{number}].{missing} is missing ({peer.ae_title!r}): host and port go together"
            )
        if peer.url is not None and (peer.host is not None or peer.commitment):
            raise ValueError(
                f"peers[{number}].url ({peer.ae_title!r}) is called by DICOMweb, which goes with neither "
                "host and port nor commitment: make a second entry for what is called by DICOM"
            )
        if peer.commitment and not peer.reachable:
            raise ValueError(
                f"peers[{number}].commitment = true ({peer.ae_title!r}) asks nobody: give that peer host and "
                "port, or set it to false"
            )


def _check_destinations(peers: tuple[Peer, ...]) -> None:
    reachable = {peer.ae_title: peer.reachable for peer in peers}
    for number, peer in enumerate(peers, start=1):
        for name in peer.destinations:
            key = f"peers[{number}].results_to = {name!r}"
            if name not in reachable:
                raise ValueError(
                    f"{key} is no ae_title of any [[peers]]; there is {', '.join(sorted(reachable))}"
                )
            if not reachable[name]:
                raise ValueError(
                    f"{key} cannot be sent to: give that peer host and port, or give {peer.ae_title!r} "
                    "a results_to that can be reached ([] sends its results to nobody)"
                )
