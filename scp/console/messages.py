"""The messages between the node and the console's process, both ways over one pipe."""

from __future__ import annotations

from typing import Final

STOP: Final = b"stop"
"""To the console: end."""
SETTINGS: Final = b"settings "
"""To the console: the configuration has changed; it follows, in JSON."""
LISTENING: Final = b"listening "
"""From the console: it listens; its address follows."""
REFUSED: Final = b"refused "
"""From the console: it cannot start; the reason follows, in words."""
