"""A plugin module that works while it is imported."""

import time

from kit_reference.plugin import *  # noqa: F403

STARTED = time.process_time()
while time.process_time() - STARTED < 0.1:
    pass
