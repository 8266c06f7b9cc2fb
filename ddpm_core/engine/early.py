"""The first steps of a document, parsed while its claim is on its way.

A claim waits until the sinks are connected, and behind all that was handed over before it: the time of reading a small file, again and
again. Most documents are new and begin at their beginning, and many formats need not know the target. What was parsed in vain is dropped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator

from ddpm_core.records import Document, Parsed

log = logging.getLogger("ddpm.engine.early")

EARLY_BYTES = 16 << 20
"""Bytes of rows that may be parsed before the answer is there: they are beside the budget of bytes in flight."""


class EarlySteps:
    """Used from intake's thread.

    Args:
        document: As it is where no sink knows it.
        steps: What the parser makes of it, checked; nothing of it has been asked for yet.
    """

    def __init__(self, document: Document, steps: Iterator[Parsed]) -> None:
        self._document = document
        self._steps = steps
        self._parsed: deque[Parsed] = deque()
        self._room = EARLY_BYTES
        self._more = True
        self._failed = False

    def advance(self) -> bool:
        """Parse one more step, if there is one and room for it. Whether it did.

        What goes wrong is not told here: the document is parsed again from its beginning when its turn comes, and goes wrong there.
        """
        if not self._more or self._room <= 0:
            return False
        try:
            step = next(self._steps, None)
        except Exception as error:  # noqa: BLE001 - it comes again, where it is dealt with
            log.debug("%s was not read ahead: %s", self._document.name, error)
            self._more, self._failed = False, True
            return True
        if step is None:
            self._more = False
            return True
        self._parsed.append(step)
        self._room -= max(step.nbytes, step.data.nbytes if step.data is not None else 0)
        return True

    def steps_of(self, document: Document) -> Iterator[Parsed] | None:
        """All steps of the document that has come, or None where they are not its own or did not go well: then it is set back, to be
        parsed from `document.start`. Called once."""
        if document.stream is not self._document.stream:
            return None
        if not self._failed and not document.start.offset and not document.start.detail.get("resume"):
            return self._all()
        self._parsed.clear()
        document.stream.seek(0)
        return None

    def _all(self) -> Iterator[Parsed]:
        while self._parsed:
            yield self._parsed.popleft()
        yield from self._steps
