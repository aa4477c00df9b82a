"""What programs that are in a hurry do without."""

from __future__ import annotations

import sys
from types import ModuleType


def spare_httpx_command() -> None:
    """Have httpx loaded without the command line that comes with it: rich and pygments for it take longer than httpx.

    For programs of our own alone: in others, somebody may want it.
    """
    unused = ModuleType("httpx._main")
    vars(unused)["main"] = lambda: None
    sys.modules.setdefault(unused.__name__, unused)
