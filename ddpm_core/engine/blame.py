"""Calling into plugins, so that a failure names whose it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ddpm_core.errors import DdpmError, PluginError
from ddpm_core.plugin.specs import Plugin

T = TypeVar("T")


def blame(plugin: Plugin[Any], call: Callable[[], T]) -> T:
    """What `call` returns. Its `DdpmError`s go through.

    Raises:
        PluginError: For every other exception, panics of Rust libraries and `SystemExit` included: names the plugin, its distribution and version.
    """
    try:
        return call()
    except DdpmError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception | SystemExit) and type(error).__name__ != "PanicException":
            raise
        raise PluginError(
            f"{plugin.owner} failed: {type(error).__name__}: {error}",
            plugin=plugin.spec.name,
            distribution=f"{plugin.distribution} {plugin.version}",
            hint="Run with --debug for the traceback, and report it to the plugin's author.",
        ) from error
