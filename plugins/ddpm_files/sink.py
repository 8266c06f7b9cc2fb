"""The sink `files`: rows into files of any format, in a folder or an object store, exactly once.

A commit of many files at once, on storage that knows no transactions. All of it lies in the table's folder:

    orders-0000000012-5f0c2a9e-0001.parquet            what readers see
    day=2026-11-21/orders-0000000013-77ab01c4-0001.parquet
    _ddpm/log/0000000012.json                          the commit log: one record a commit
    _ddpm/checkpoints/0000000100.json                  the sum of the records up to 100
    _ddpm/staging/INSTANCE/000001.tmp                  rows that are not committed

For each round:

1. Write: rows go into files in this instance's staging folder, under names that end in `.tmp`. Rows for an object store are written on
   this machine's disk, and sent there when a file is complete.
2. Complete: every file is finished and made durable where it is staged, its folder too.
3. Decide: from all records read so far: is every partition still this instance's, does it stand where this instance believes? Else
   `FencedError`.
4. Record: create the record with the next number, exclusively. It holds the positions with their details, the epochs, and for each file
   the name it is staged under and its final one. This is the moment of truth: before it nothing has landed, after it everything. When
   the number is taken, somebody else committed: read that record, and go back to 3. So two processes that read different sources into one
   folder both go on, and of two that read the same one the later is fenced.
5. Publish: move each file to its final name. A rename on disk; in an object store a copy, which appears whole, and a deletion.

A crash before 4 leaves files in staging that no record names. A crash between 4 and 5, or in 5, leaves some that a record names. Opening
reads the log and then finishes 5 for every staged file that a record names, so a publication is never left half done for longer than
until the next run; and it removes the others, if whoever staged them is dead. That they are dead is only likely, so before anything is
removed a record says that this instance may not commit: if it is alive after all, it finds that record at its own step 4 and starts
over. The same record makes sure of an attempt at 4 whose answer was lost: it takes the number, so the attempt cannot succeed later.

Final names hold the record's number and its token, so they sort in the order of commits, no two are the same, and nothing is ever
overwritten, not even by a log that begins anew in a folder that holds files. Positions live in the table's folder: who deletes the
folder deletes both, and may load again.

Ownership is as in databases (`ddpm_core/plugin/ledger.py`): claiming a partition that was interrupted adds 1 to its epoch, by a record.
One that is new or finished is only looked at: the first commit takes it, and of two first commits the second is fenced.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    DdpmError,
    DeadLetter,
    FencedError,
    OutputFormat,
    Positions,
    Problem,
    Reject,
    RetryableError,
    Sink,
    conform,
)
from ddpm_files.local_listing import local_path
from ddpm_files.names import STORES, scheme_of
from ddpm_files.output_store import OutputStore
from ddpm_files.sink_folders import Folders, table_folder
from ddpm_files.sink_instance import new_instance
from ddpm_files.sink_log import CommitLog
from ddpm_files.sink_options import FilesSinkOptions
from ddpm_files.sink_round import Density, Round, Staged, names_in
from ddpm_files.sink_staging import Staging, staging_folder
from ddpm_files.sink_state import Record, stream_of

NDJSON = ("ndjson", "jsonl")
"""Other names of the format `json`, which writes a row on each line."""

_FRESH = 1.0
"""Seconds for which what was read of the log is good enough to look up partitions that need no record."""


def build(options: FilesSinkOptions, context: BuildContext) -> FilesSink:
    """The sink for these options. Opens nothing.

    Raises:
        ConfigError: The address or the table is no folder's, or the format cannot be written.
    """
    return FilesSink(options, context, output_of(options, context), store_of(options, context))


def output_of(options: FilesSinkOptions, context: BuildContext) -> OutputFormat:
    """The format that the options name."""
    ((name, values),) = options.format.items()
    if name in NDJSON:
        output = context.output("json", values)
        return OutputFormat(name, f".{name}", output.serializer)
    return context.output(name, values)


def store_of(options: FilesSinkOptions, context: BuildContext) -> OutputStore:
    """The table's folder."""
    folders = table_folder(options.table)
    scheme = scheme_of(options.path)
    if scheme in STORES:
        from ddpm_files.output_objects import ObjectStoreOutput
        from ddpm_files.remote import open_store

        place = open_store(options.path, options, retry_for=context.retry_for)
        parts = place.key.strip("/").split("/") if place.key.strip("/") else []
        if any(part in ("", ".", "..") for part in parts):
            raise ConfigError(
                Problem(options.path, "names a folder that is empty, `.` or `..`", "object stores take names literally")
            )
        return ObjectStoreOutput(replace(place, key="/".join([*parts, *folders])))
    if scheme not in ("", "file"):
        raise ConfigError(Problem(options.path, f"files cannot be written to {scheme}://", "use a folder, s3:// or gs://"))
    from ddpm_files.output_local import LocalStore

    path = local_path(options.path)
    if "\0" in path:
        raise ConfigError(Problem(repr(path), "is not a path"))
    return LocalStore("/".join([path.rstrip("/") or "/", *folders]))


@dataclass(slots=True)
class _Claim:
    """What this instance believes of a partition.

    Attributes:
        epoch: Its epoch.
        taken: Whether that epoch is this instance's own; else the first commit adds 1.
        stored: Generation -> offset.
    """

    epoch: int = 0
    taken: bool = False
    stored: dict[str, int] = field(default_factory=dict)


class FilesSink(Sink):
    """Rows into files, in the order and with the promises that this module describes.

    Args:
        options: Where and how.
        context: The run's.
        output: The format.
        store: The table's folder.
    """

    keeps_positions = True
    keeps_dead_letters = False

    def __init__(self, options: FilesSinkOptions, context: BuildContext, output: OutputFormat, store: OutputStore) -> None:
        self._options = options
        self._context = context
        self._output = output
        self._store = store
        self._prefix = _prefix(options.table)
        self._folders = Folders(options.partition_by, keep=options.keep_partition_columns)
        self._density = Density()
        self._cancelled = threading.Event()
        self._former: set[str] = set()
        self._claims: dict[str, _Claim] = {}
        self._instance = ""
        self._log: CommitLog | None = None
        self._staging: Staging | None = None
        self._next_name: Callable[[], str] = names_in("")
        self._round: Round | None = None

    @property
    def full(self) -> bool:
        return self._round is not None and self._round.full

    def open(self) -> None:
        self._forget()
        if self._instance:
            self._former.add(self._instance)
        self._instance = new_instance()
        self._cancelled.clear()
        self._store.prepare()
        log = CommitLog(self._store, f"{staging_folder(self._instance)}/record.tmp")
        log.open()
        self._staging = Staging(self._store, log, self._instance, self._former, self._context.pipeline)
        self._staging.clean()
        self._next_name = names_in(staging_folder(self._instance))
        self._log = log
        self._checkpoint_if_due(log)

    def claim(self, partitions: Sequence[str]) -> Positions:
        log, pipeline = self._open_log(), self._context.pipeline
        log.refresh(older_than=_FRESH if self._is_far() else 0.0)
        unfinished = [p for p in partitions if any(not at.finished for at in log.state.generations(pipeline, p).values())]
        if unfinished:
            log.append(
                lambda token: Record(token, self._instance, pipeline, {p: log.state.epoch(pipeline, p) + 1 for p in unfinished})
            )
        known: Positions = {}
        for partition in partitions:
            generations = log.state.generations(pipeline, partition)
            stored = {name: at.offset for name, at in generations.items()}
            self._claims[partition] = _Claim(log.state.epoch(pipeline, partition), partition in unfinished, stored)
            known |= generations
        return known

    def write(self, batch: Batch) -> list[Reject]:
        self._open_log()
        self._check_cancelled()
        data, rejects, row_of = batch.data, [], None
        if self._context.columns is not None and data.num_rows:
            declared = {f.name: f for f in self._context.columns}
            conformed = conform(data, pa.schema([declared.get(f.name, f) for f in data.schema]))
            rejects, row_of = list(conformed.rejects), conformed.row
            if conformed.data is None:
                return rejects
            data = conformed.data
        if self._round is None:
            self._round = Round(self._output, self._store, self._next_name, self._folders, self._options, self._density)
        refused = self._round.write(data)
        rejects += refused if row_of is None else [Reject(row_of(r.index), r.reason, r.message) for r in refused]
        return sorted(rejects, key=lambda reject: reject.index)

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        log = self._open_log()
        self._check_cancelled()
        log.refresh()
        self._decide(log, "", positions, [])  # Who is fenced need not send files first.
        staged = self._round.finish() if self._round is not None else []  # 2.
        if not staged and not positions:
            self.rollback()
            return
        if staged:
            self._store.settle(staging_folder(self._instance))
        record = log.append(lambda token: self._decide(log, token, positions, staged))  # 3. and 4.
        written, self._round = self._round, None
        self._committed(record)
        self._store.move(record.files.items())  # 5.
        self._store.remove(name for name in (written.names if written else ()) if name not in record.files)  # Without rows.
        for name in record.files:
            log.state.moves.pop(name, None)
        self._checkpoint_if_due(log)

    def rollback(self) -> None:
        self._forget()

    def cancel(self) -> None:
        """Takes effect between two files: a request to an object store cannot be broken off, and ends after `retry_for` at the latest."""
        self._cancelled.set()

    def close(self) -> None:
        self._forget()
        if self._log is not None:
            self._log = None
            with contextlib.suppress(DdpmError):
                self._store.tidy("_ddpm/staging")

    # How.

    def _decide(self, log: CommitLog, token: str, positions: Positions, staged: Sequence[Staged]) -> Record:
        """The record of this round, if it may be committed now."""
        state, pipeline = log.state, self._context.pipeline
        if self._instance in state.dead:
            raise RetryableError(
                f"another ddpm process took this one for dead, and discarded what it had not committed in {self._store.where}",
                hint="That happens when a process stands still for a day, or is moved to another machine.",
            )
        epochs: dict[str, int] = {}
        fenced: list[str] = []
        for name in positions:
            partition = self._owner(name)
            claim = self._claims.get(partition, _Claim())
            if state.epoch(pipeline, partition) != claim.epoch or state.offset(pipeline, name) != claim.stored.get(name):
                fenced.append(partition)
            elif not claim.taken:
                epochs[partition] = claim.epoch + 1
        if fenced:
            raise FencedError(sorted(set(fenced)))
        number = state.number + 1
        files = {file.name: self._final_name(file, number, token, index) for index, file in enumerate(staged, 1)}
        return Record(token, self._instance, pipeline, epochs, positions, files)

    def _committed(self, record: Record) -> None:
        for partition, epoch in record.epochs.items():
            claim = self._claims.setdefault(partition, _Claim())
            claim.epoch, claim.taken = epoch, True
        for name, position in record.positions.items():
            self._claims[self._owner(name)].stored[name] = position.offset

    def _owner(self, name: str) -> str:
        """The partition under which a partition or generation was claimed."""
        return name if name in self._claims else stream_of(name)

    def _final_name(self, file: Staged, number: int, token: str, index: int) -> str:
        name = f"{self._prefix}-{number:010}-{token}-{index:04}{file.suffix}"
        return f"{file.folder}/{name}" if file.folder else name

    def _checkpoint_if_due(self, log: CommitLog) -> None:
        if log.checkpoint_due and self._staging is not None:
            self._staging.publish()  # What a checkpoint sums up must be published: nobody reads its records again.
            log.checkpoint()

    def _forget(self) -> None:
        """Give up the round. What may be named by a record that may still appear stays; opening finds out."""
        current, self._round = self._round, None
        if current is None:
            return
        current.drop()
        if self._log is not None and not self._log.unsure:
            with contextlib.suppress(DdpmError):  # They are removed when it is opened again, or by the next run.
                self._store.remove(current.names)

    def _open_log(self) -> CommitLog:
        if self._log is None:
            raise RetryableError(f"{self._store.where} is not open")
        return self._log

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise RetryableError(f"the work on {self._store.where} was interrupted")

    def _is_far(self) -> bool:
        return "://" in self._store.where


def _prefix(table: str) -> str:
    """What names of files begin with: the table's own name, as much of it as leaves room for the rest."""
    folders = table_folder(table)
    return folders[-1].encode()[:100].decode(errors="ignore") if folders else "rows"
