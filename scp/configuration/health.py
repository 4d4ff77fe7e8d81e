"""The section of the configuration about who watches a process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scp.configuration.values import Host, Section


class Health(Section):
    """Where a process tells how it is; a console does so at its own port. Section ``[health]``."""

    host: Host = "0.0.0.0"  # noqa: S104 - probes come from other machines, and learn nothing of anybody
    """Address to listen at."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port for ``/healthz`` and ``/readyz``; 0: none."""
