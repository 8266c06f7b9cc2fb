"""Options of the source `files`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ddpm_files.remote_options import RemoteOptions


class FilesOptions(RemoteOptions):
    """Which files, how they are compressed, and whether finished ones are taken again."""

    paths: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders, patterns (`*`, `?`, `[]`, `**`), `file://`, `s3://`, `gs://`, `http://` and `https://` URLs, "
        "members of archives (`a.zip/b.csv`), or `-` for standard input.",
    )
    again: bool = Field(default=False, description="Take files again whose content has already landed.")
    compression: Literal["auto", "none", "gzip", "zstd", "bz2", "xz"] = Field(
        default="auto",
        description="How all of the files are compressed. `auto`: as their suffix says (.gz, .zst, .bz2, .xz, .zip), and standard input "
        "and pipes as their first bytes do.",
    )
    max_expansion: int = Field(
        default=250,
        ge=1,
        le=1_000_000,
        description="A compressed file of which more than so many times its size comes out is refused (256 MB always may).",
    )

    @field_validator("paths", mode="before")
    @classmethod
    def _one_is_enough(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
