"""The section of the configuration about the console: the node's web pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scp.configuration.values import Host, Section


class Console(Section):
    """The node's web pages, in a process of their own. Section ``[console]``."""

    enabled: bool = True
    """Whether the node starts them."""
    host: Host = "127.0.0.1"
    """Address to listen at; by default this machine alone can open them."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen at; 0 takes a free one, which the log names."""
    upload_mb: Annotated[int, Field(ge=1, le=4000)] = 256
    """Megabytes of one upload, all its files together."""
    session_minutes: Annotated[float, Field(gt=0, le=1440, allow_inf_nan=False)] = 30
    """So long after the last sign of life of who sent it an upload is forgotten."""
