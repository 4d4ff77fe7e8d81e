"""Images that came after a backup which has taken the place of the database: they come in once more.

Each goes the way of any image, in the name of the peer that sent it last; what that way refuses, and what
nobody among the peers has sent, stays among the unclaimed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from scp.configuration.settings import Settings
from scp.network.status import OutOfResources, Refusal
from scp.receiving.store import Receiver
from storage.files.archive import UNCLAIMED
from storage.upkeep import to_come

log = structlog.get_logger(__name__)

PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
)
"""What the disk or the process may have room for later. Any other error is one of this image."""
AT_ONCE: Final = 10
"""Images between two looks at the end of the node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesToCome:
    """Lets them come in, a few at a time. To be called every second or so, by one thread at a time."""

    settings: Settings
    receiver: Receiver

    def take_some(self) -> None:
        """Keep some of them; those that cannot be kept now come next time. Raises StorageError."""
        data_dir = self.receiver.archive.data_dir
        if not (images := to_come.read(data_dir)):
            return
        for name, sender in list(islice(images.items(), AT_ONCE)):
            try:
                self._take(data_dir / UNCLAIMED / name, sender)
            except OutOfResources as error:
                log.warning("images wait to come in again after a restore", reason=str(error))
                break
            except OSError as error:
                if error.errno in PASSING:
                    log.warning("images wait to come in again after a restore", reason=error.strerror)
                    break
                # the disk may have lost this one alone
                log.warning("image stays unclaimed", file=name, peer=sender, reason=error.strerror)
            del images[name]
        to_come.note(data_dir, images)
        if not images:
            log.info("all images that came after the backup have come in again, or are named above")

    def _take(self, path: Path, sender: str) -> None:
        """Keep one image, which is unclaimed no more then. Raises OutOfResources where that is for later."""
        if not path.exists():
            return  # its sender has repeated it meanwhile
        if self.settings.peer(sender) is None:
            log.warning("image stays unclaimed: its sender is no peer any more", file=path.name, peer=sender)
            return
        link = self.receiver.archive.incoming / path.name
        link.unlink(missing_ok=True)
        os.link(path, link)
        try:
            self.receiver.keep(link, calling_ae=sender)
        except OutOfResources:
            raise
        except Refusal as refusal:
            log.warning("image stays unclaimed", file=path.name, peer=sender, reason=str(refusal))
            return
        finally:
            link.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
