"""One result as one peer is sent it: SOP class, Modality and compression. The kept file never changes.

Another class or Modality makes another object with UIDs of its own, always the same (`identity.variant`);
a lossless compression leaves the object the same one.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from inference.results import identity
from scp.configuration.sections import Peer
from scp.configuration.values import SRClass
from scp.network import contexts

log = structlog.get_logger(__name__)

SYNTAX_OF: Final = MappingProxyType(
    {"jpeg-ls": JPEGLSLossless, "jpeg-2000": JPEG2000Lossless, "rle": RLELossless}
)
"""The words of ``[[peers]] compression``."""


def syntaxes(peer: Peer) -> list[UID]:
    """Return the transfer syntaxes in which pictures are offered to ``peer``, the best first."""
    return [SYNTAX_OF[word] for word in peer.compression]


def classes(peer: Peer, sr_class: SRClass) -> list[tuple[str, ...]]:
    """Return for each object that ``peer`` is sent its SOP classes, the best first.

    ``sr_class`` is that of the site.
    """
    sop_classes = dict.fromkeys(
        contexts.classes_of(kind, peer.sr_class or sr_class) for kind in sorted(peer.kinds)
    )
    return list(sop_classes)


def of_result(result: Dataset, peer: Peer, sop_class: str, accepted: Collection[str]) -> Dataset:
    """Return ``result`` as it goes to ``peer``.

    Parameters
    ----------
    sop_class
        The class in which it is sent.
    accepted
        Transfer syntaxes that the peer has accepted for that class.
    """
    if result.SOPClassUID != sop_class:
        result = identity.in_class(result, sop_class)
    if "PixelData" not in result:
        return result
    if peer.sc_modality not in {None, result.Modality}:
        result = identity.with_modality(result, str(peer.sc_modality))
    return _compressed(result, [syntax for syntax in syntaxes(peer) if syntax in accepted])


def _compressed(picture: Dataset, possible: list[UID]) -> Dataset:
    """Return ``picture`` in the first of ``possible`` in which it can be written; else as it is."""
    colours = picture.PhotometricInterpretation
    for syntax in possible:
        try:
            if syntax == JPEG2000Lossless and colours == "RGB":
                picture.PhotometricInterpretation = "YBR_RCT"  # a third smaller; the decoder gives RGB again
            picture.compress(syntax, generate_instance_uid=False)
        except (RuntimeError, ValueError, NotImplementedError, OSError, MemoryError) as error:
            picture.PhotometricInterpretation = colours
            log.warning(
                "picture is sent without this compression, which failed",
                transfer_syntax=syntax.name,
                reason=type(error).__name__,
                sop_instance_uid=str(picture.SOPInstanceUID),
            )
        else:
            return picture
    return picture
