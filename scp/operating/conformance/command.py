"""The ``conformance`` command: a statement of what code and configuration decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Final

from pydicom.uid import UID, SecondaryCaptureImageStorage

from inference.reading import transfer_syntaxes
from inference.results import codes
from inference.results.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from scp import product, terminal
from scp.configuration import sent_objects
from scp.configuration.settings import Settings
from scp.configuration.values import SUBJECT_NAMES
from scp.delivering import commitment_answer, commitment_request, variants
from scp.errors import OK, CommandError
from scp.network import contexts, tls
from scp.network.association import REMEDIES
from scp.operating.conformance import sample, tables
from scp.operating.conformance.tables import table

_STATEMENT: Final = Path(__file__).with_name("statement.md")
_NATIVE: Final = transfer_syntaxes.NATIVE[:2]


def run(settings: Settings, output: Path) -> int:
    """Write the statement of a node with these ``settings`` to ``output``."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(statement(settings), encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{output} cannot be written ({error.strerror}): name another file with --output"
        ) from error
    terminal.out().print(str(output))
    return OK


def statement(settings: Settings) -> str:
    """Return the statement of a node with these ``settings``."""
    template = Template(_STATEMENT.read_text(encoding="utf-8"))
    return template.substitute(_facts(settings)).rstrip("\n") + "\n"


def _facts(settings: Settings) -> Mapping[str, str]:
    """Return by its name in the statement each fact about a node with these ``settings``."""
    node, delivery, tls_section = settings.node, settings.delivery, settings.tls
    parts: dict[str, list[str]] = {
        "overview": table(("SOP class", "UID", "SCU", "SCP"), _services()),
        "implementation": table(("", "value"), _implementation(settings)),
        "acceptance": table(("SOP class", "transfer syntaxes", "role of the node"), _accepted()),
        "objects": table(("object", "by default", "SOP class"), _objects(settings)),
        "parameters": table(("parameter", "key", "value"), _parameters(settings)),
        "peers": _peers(settings),
        "private_codes": table(("code", "meaning"), sorted(set(_private_codes()))),
        "created": list(_created(settings)),
        "remedies": table(("", "because"), list(_remedies(node.ae_title))),
        **tables.of_statuses(delivery),
    }
    return {
        "product": f"{product.MODEL_NAME} {product.__version__}",
        "manufacturer": product.MANUFACTURER,
        "durable": (
            "the bucket's server has answered that it has the file (`[files] url`)"
            if settings.files.bucket
            else "the file is synced to disk"
        ),
        "ae_title": node.ae_title,
        "quiet_seconds": f"{settings.study.quiet_seconds:g}",
        "stow_port": str(settings.stow.port),
        "most_items": str(commitment_answer.MOST_ITEMS),
        "retention_days": f"{settings.retention.days:g}",
        "give_up_hours": f"{commitment_answer.GIVE_UP.total_seconds() / 3600:g}",
        "native": _names(_NATIVE),
        "compressed": ", ".join(f"{_name(uid)} (`{word}`)" for word, uid in variants.SYNTAX_OF.items()),
        "objects_at_a_time": str(commitment_request.OBJECTS_AT_A_TIME),
        "linger": f"{delivery.commitment_linger_seconds:g}",
        "commitment_timeout": f"{delivery.commitment_timeout_seconds:g}",
        "suites": ", ".join(f"`{suite}`" for suite in tls.SUITES.split(":") if not suite.startswith("@")),
        "client_certificate": tls_section.client_certificate,
        "subject_names": ", ".join(SUBJECT_NAMES.values()),
        "private_scheme": codes.PRIVATE_SCHEME,
        **{name: "\n".join(lines) for name, lines in parts.items()},
    }


def _services() -> Iterator[tuple[str, ...]]:
    capture = str(SecondaryCaptureImageStorage)
    for uid in map(str, contexts.IMAGES):
        if uid != capture:
            yield _name(uid), _quoted(uid), "no", "yes"
    yield f"{_name(capture)} (received: Modality MG)", _quoted(capture), "yes", "yes"
    classes = (
        uid for kind in sent_objects.KIND_OF.values() for uid in contexts.classes_of(kind, "comprehensive")
    )
    for uid in dict.fromkeys(classes):
        if uid != capture:
            yield _name(uid), _quoted(uid), "yes", "no"
    yield "Verification", _quoted(contexts.VERIFICATION), "`check`", "yes"
    yield _name(contexts.COMMITMENT), _quoted(contexts.COMMITMENT), "per peer", "yes"
    for uid in (contexts.FIND, contexts.MOVE, contexts.GET):
        yield _name(uid), _quoted(uid), "`fetch`", "no"


def _implementation(settings: Settings) -> Iterator[tuple[str, str]]:
    node, (class_uid, version) = settings.node, contexts.IMPLEMENTATION
    yield "Application context", "`1.2.840.10008.3.1.1.1`"
    yield "Implementation Class UID, associations", _quoted(class_uid)
    yield "Implementation Version Name, associations", _quoted(version)
    yield "Implementation Class UID, files", _quoted(IMPLEMENTATION_CLASS_UID)
    yield "Implementation Version Name, files", _quoted(IMPLEMENTATION_VERSION)
    yield "Maximum PDU length, received", f"{node.max_pdu} bytes"
    yield "Associations at a time", str(node.max_associations)
    yield "Associations at a time of one address", str(node.max_associations_per_address)
    yield "Asynchronous operations", "none"


def _accepted() -> Iterator[tuple[str, ...]]:
    yield "Verification", _names(_NATIVE), "SCP"
    yield "images (section 1)", f"the most wanted first: {_names(transfer_syntaxes.OFFERED)}", "SCP"
    yield "every other storage class", "all that are proposed; nothing of the object is kept", "SCP"
    roles = "SCP, and SCU for reports: by default roles, or by role selection"
    yield _name(contexts.COMMITMENT), _names(_NATIVE), roles


def _objects(settings: Settings) -> Iterator[tuple[str, ...]]:
    for word, kind in sent_objects.KIND_OF.items():
        classes = contexts.classes_of(kind, settings.outputs.sr_class)
        yield f'`"{word}"`', _yes(word in sent_objects.USUAL), ", or ".join(map(_name, classes))


def _parameters(settings: Settings) -> Iterator[tuple[str, str, str]]:
    node, delivery = settings.node, settings.delivery
    yield "AE title", "`[node] ae_title`", _quoted(node.ae_title)
    yield "port", "`[node] port`", str(node.port)
    yield "port with TLS", "`[tls] port`", str(settings.tls.port)
    yield "request for an association", "`[node] acse_timeout_seconds`", f"{node.acse_timeout_seconds:g} s"
    yield "one message", "`[node] dimse_timeout_seconds`", f"{node.dimse_timeout_seconds:g} s"
    yield "idle association", "`[node] network_timeout_seconds`", f"{node.network_timeout_seconds:g} s"
    whole = f"{node.network_timeout_seconds:g} s, and its bytes at 8 kB/s"
    yield "a message that comes in, as a whole", "`[node] network_timeout_seconds`", whole
    connect, answer = delivery.connect_timeout_seconds, delivery.answer_timeout_seconds
    yield "connecting to a peer", "`[delivery] connect_timeout_seconds`", f"{connect:g} s"
    yield "a peer's answer", "`[delivery] answer_timeout_seconds`", f"{answer:g} s, and its object at 8 kB/s"


def _peers(settings: Settings) -> list[str]:
    if not settings.peers:
        return ["No peer is configured."]
    return table(
        ("peer", "receives", "objects", "TLS", "commitment"),
        [
            (
                _quoted(peer.ae_title),
                _yes(peer.reachable),
                ", ".join(peer.objects),
                _yes(peer.tls),
                _yes(peer.commitment),
            )
            for peer in settings.peers
        ],
    )


def _private_codes() -> Iterator[tuple[str, str]]:
    for mapping in (codes.FINDING_OF, codes.SCORE_OF):
        for code in mapping.values():
            if code.scheme_designator == codes.PRIVATE_SCHEME:
                yield code.value, code.meaning


def _created(settings: Settings) -> Iterator[str]:
    device = product.device(settings.node.ae_title)
    for number, example in enumerate(sample.objects(device, settings.outputs.options()), start=1):
        name = _name(example.rich.SOPClassUID)
        title = f"{_asked_for(example.kind)}, {name}: {example.rich.SeriesDescription}"
        yield from (f"### 10.{number} {title}", "")
        yield from (*tables.of_object(example), "")


def _asked_for(kind: str) -> str:
    """Return by which word of ``objects`` a peer asks for objects of that ``kind``, and with which region."""
    form = kind.removesuffix("-OUTLINE")
    word = next(word for word, named in sent_objects.KIND_OF.items() if named == form)
    return f'`"{word}"`' if form == kind else f'`"{word}"` with `region = "outline"`'


def _remedies(ae_title: str) -> Iterator[tuple[str, str]]:
    for code, words in REMEDIES.items():
        yield "/".join(map(str, code)), words.format(calling=ae_title, called="as configured")


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _quoted(value: str) -> str:
    return f"`{value}`"


def _names(uids: Iterable[str]) -> str:
    return ", ".join(map(_name, uids))


def _name(uid: str) -> str:
    return UID(uid).name
