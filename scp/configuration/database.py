"""The section of the configuration about the database that rows are kept in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from scp.configuration.values import Section


class DatabaseServer(Section):
    """Where rows are kept. Section ``[database]``."""

    url: Annotated[str, Field(max_length=1000)] = ""
    """``postgresql+psycopg://USER@HOST/DATABASE``; empty: a file of SQLite in ``[node] data_dir``."""

    @field_validator("url")
    @classmethod
    def _understood(cls, value: str) -> str:
        if value:
            # imported here: SQLAlchemy takes longer to import than `--help` runs
            from storage.database.postgresql import connection  # noqa: PLC0415

            connection.parse(value)
        return value

    @property
    def server(self) -> str | None:
        """The url, or None where there is no server."""
        return self.url or None
