"""Options of the source `sql`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from ddpm_core import PluginOptions


class SqlSourceOptions(PluginOptions):
    """Which rows of which database, and how they are taken again."""

    url: SecretStr = Field(
        description="Address of the database as SQLAlchemy writes it, such as `postgresql://user@host/database` or `sqlite:///shop.db`"
    )
    table: str = Field(default="", description="The table or view to read, as `[schema.]table`; or else give `query`")
    query: str = Field(default="", description="The SELECT whose rows to read; or else give `table`")
    columns: tuple[str, ...] = Field(default=(), description="The columns of `table` to read, separated by commas; by default all")
    cursor: tuple[str, ...] = Field(
        default=(),
        description="One or more columns, separated by commas, that grow from row to row (an id, a time of change): each run goes on "
        "behind the greatest value that landed. Without it every run takes all rows",
    )
    start: str = Field(default="", description="With `cursor`: the first run begins with this value of the first cursor column")
    lag: float = Field(
        default=0.0,
        ge=0,
        description="With `cursor`: leave rows for a later run whose first cursor column is within so many seconds (integers: so much) "
        "of the greatest, since transactions that are still open may commit smaller ones",
    )
    cursor_nulls: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="With `cursor`: what to do where a cursor column is null: end with an error, or leave those rows out",
    )
    name: str = Field(
        default="",
        max_length=200,
        description="What positions are kept under; by default made of the address and of the table or query. With a name of its own a "
        "query can be changed and still goes on where it was",
    )
    again: bool = Field(default=False, description="With `cursor`: begin anew, from the first row; without it every run does")
    fetch_rows: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="The most rows to ask the database for at a time; fewer are taken of wide rows",
    )
    isolation: str = Field(
        default="",
        pattern=r"^(?i:|read (un)?committed|repeatable read|serializable|snapshot)$",
        description="Isolation level of the transaction that reads; by default the one in which rows do not move meanwhile",
    )
    connect_timeout: int = Field(default=10, ge=1, le=600, description="Seconds to wait for a connection (SQLite: for a lock)")
    statement_timeout: float | None = Field(
        default=None,
        gt=0,
        description="Seconds that one statement may take (Postgres, MySQL, MariaDB); by default what the server says",
    )

    @field_validator("columns", "cursor", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")] if value.strip() else []
        if isinstance(value, (list, tuple)):
            if any(not part for part in value):
                raise ValueError("has an empty name in it; write column names separated by commas")
            if len(set(value)) < len(value):
                raise ValueError("names a column twice")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> SqlSourceOptions:
        if self.table and self.query:
            raise ValueError("give either source.table or source.query, not both")
        if self.query and self.columns:
            raise ValueError("source.columns is for source.table; a query names its columns itself")
        for name in ("start", "lag"):
            if getattr(self, name) and not self.cursor:
                raise ValueError(f"source.{name} needs source.cursor")
        return self
