"""A plugin module that imports what only its builders need."""

import pyarrow  # noqa: F401

from kit_reference.plugin import *  # noqa: F403
