"""What instances have staged: finished publications of others, and what dead ones left."""

from __future__ import annotations

from ddpm_files.output_store import Found, OutputStore
from ddpm_files.sink_instance import is_dead, now
from ddpm_files.sink_log import CommitLog
from ddpm_files.sink_state import Record

STAGING = "_ddpm/staging"


def staging_folder(instance: str) -> str:
    """Where an instance puts files until they are committed. Their names end in `.tmp`, whatever their format."""
    return f"{STAGING}/{instance}"


class Staging:
    """The staging folder of one target, seen from one instance.

    Args:
        store: The target.
        log: Its log, opened.
        instance: This instance.
        former: Instances that this one has been, before it was reopened: they are dead.
        pipeline: For the records that are written here.
    """

    def __init__(self, store: OutputStore, log: CommitLog, instance: str, former: set[str], pipeline: str) -> None:
        self._store = store
        self._log = log
        self._instance = instance
        self._former = former
        self._pipeline = pipeline

    def publish(self) -> set[str]:
        """Move every staged file that a record names to its final name. Returns the staged files that no record names."""
        staged = {found.name for found in self._store.list(STAGING)}
        moves = {name: final for name, final in self._log.state.moves.items() if name in staged}
        if moves:
            self._store.move(moves.items())
        self._log.state.moves.clear()
        return staged - set(moves)

    def clean(self) -> None:
        """Finish what was committed and not yet published, and remove what instances that are dead have left.

        A dead instance may be alive after all, or its last record on its way: so a record that forbids it to commit comes first. What
        it had committed before that record is published; nothing can follow.
        """
        listed = self._store.list(STAGING)
        unnamed = self.publish()
        dead = self._dead([found for found in listed if found.name in unnamed])
        if dead:
            self._log.append(lambda token: Record(token, self._instance, self._pipeline, dead=tuple(sorted(dead))))
            self._store.remove(name for name in self.publish() if _instance_of(name) in dead)
        self._store.tidy(STAGING)

    def _dead(self, files: list[Found]) -> set[str]:
        last: dict[str, float] = {}
        for found in files:
            instance = _instance_of(found.name)
            last[instance] = max(found.modified, last.get(instance, 0.0))
        last.pop(self._instance, None)
        return {one for one, modified in last.items() if one in self._former or is_dead(one, now() - modified)}


def _instance_of(name: str) -> str:
    return name.removeprefix(f"{STAGING}/").partition("/")[0]
