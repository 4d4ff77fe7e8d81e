"""The messages between supervisor and worker, both ways over one pipe."""

from __future__ import annotations

from typing import Final

WAKE: Final = b"wake"
"""To the worker: there is work."""
SETTINGS: Final = b"settings "
"""To the worker: the configuration has changed; it follows, in JSON."""
STOP: Final = b"stop"
"""To the worker: end after the job under way; what is left of its batch goes back."""
AWAKE: Final = b"awake"
"""From the worker: it has received the wake-up."""
READY: Final = b"ready"
"""From the worker: its network is loaded."""
BEGIN: Final = b"begin"
"""From the worker: a job begins, or an image of a batch, or its network; its time counts from now."""
FINISHED: Final = b"done"
"""From the worker: a job has ended."""
