"""Reads compressed files and archives as a run does: the source `files` opens them, and each document's suffix says its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from ddpm_core import Assigned, BuildContext, ConfigError, DataError, DdpmError, Document, EndOfSource, Failed, Source
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_core.registry import Registry


def documents(registry: Registry, path: str) -> Iterator[Document]:
    """The documents in this file, one after the other; each is to be read before the next one is asked for.

    Raises:
        DataError: The file, or a member of it, cannot be opened. With reason `config` where a run would not begin at all.
    """
    spec = registry.source("files").spec
    names = _listed(registry, spec, path)
    if not names:
        raise DataError("none of the files has a known suffix", reason="config")
    build = cast("Callable[[Any, BuildContext], Source]", resolve(spec.build))
    source = build(_options(spec, names), BuildContext())
    try:
        source.open()
        while not isinstance(item := source.read(0), EndOfSource):
            if isinstance(item, Assigned):
                source.seek({})
            elif isinstance(item, Failed):
                raise _refused(item.error)
            elif isinstance(item, Document):
                yield item
    finally:
        source.close()


def _listed(registry: Registry, spec: Any, path: str) -> list[str]:
    """What the file holds that has the suffix of a format."""
    try:
        found = resolve(spec.documents)(_options(spec, [path]))
        return [name for name in found if registry.format_for(name) is not None]
    except ConfigError as error:
        raise _refused(error) from error


def _options(spec: Any, paths: list[str]) -> Any:
    return check_options(spec.options_model(), {"paths": tuple(paths)}, owner="source files")


def _refused(error: DdpmError) -> DataError:
    return error if isinstance(error, DataError) else DataError(str(error), reason="config")
