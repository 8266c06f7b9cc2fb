"""Finding the user's function: everything that can be wrong with it is said before any data is touched."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ddpm_core import ConfigError

Function = Callable[[Any], Any]


def load(where: str, name: str) -> Function:
    """The function `name` of a module, or of a file when `where` ends in `.py`.

    Raises:
        ConfigError: There is no such file, module or function, importing it failed, or it cannot be called with one payload.
    """
    module = _from_file(Path(where).expanduser()) if where.endswith(".py") else _from_module(where)
    missing = object()
    found = getattr(module, name, missing)
    if found is missing:
        known = [known for known, thing in vars(module).items() if callable(thing) and not known.startswith("_")]
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(f"{where} has no function {name!r}", hint=f"Did you mean {near[0]!r}?" if near else "")
    if not callable(found):
        raise ConfigError(f"{name!r} in {where} is no function, but {_a(type(found).__name__)}")
    _check_signature(where, name, found)
    return cast(Function, found)


def _from_module(name: str) -> ModuleType:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        raise ConfigError(
            f"there is no module {name!r}", hint="Install its package, set PYTHONPATH, or name the file: path.py:function"
        )
    with _failures_explained(name):
        return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    """Run the file as a module with a name of its own, so that it collides with no other.

    While it is imported its folder is the last place where modules are looked for, so that it finds helpers beside it and hides nothing.
    These helpers are forgotten afterwards, so that another file's helpers of the same name are not taken for them.
    """
    path = path.resolve()
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    name = f"_ddpm_custom_{hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[name] = module  # Dataclasses look for their module there.
    sys.path.append(str(path.parent))
    try:
        with _failures_explained(str(path)):
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    finally:
        if str(path.parent) in sys.path:
            sys.path.reverse()
            sys.path.remove(str(path.parent))
            sys.path.reverse()
        for other in set(sys.modules) - before - {name}:
            if Path(getattr(sys.modules[other], "__file__", None) or "/").parent == path.parent:
                del sys.modules[other]
    return module


@contextmanager
def _failures_explained(where: str) -> Iterator[None]:
    try:
        yield
    except SyntaxError as error:
        raise ConfigError(f"{where} cannot be imported: {error.msg} ({error.filename}, line {error.lineno})") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise ConfigError(f"{where} cannot be imported: {described(error)}{place}") from error


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen") or filename == __file__ or "importlib" in Path(filename).parts


def _check_signature(where: str, name: str, function: Function) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"the function {name!r} in {where} is async", hint="Write it with def, and return its rows.")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # Written in C, and silent about what it takes.
        return
    try:
        signature.bind(b"")
    except TypeError:
        message = f"the function {name}{signature} in {where} cannot be called with one payload"
        raise ConfigError(message, hint=f"Write it as: def {name}(payload): ...") from None


def described(error: BaseException) -> str:
    """An exception's type and text, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - what it says is the user's code as well
        text = "its text cannot be shown"
    text = text if len(text) <= 200 else f"{text[:200]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
