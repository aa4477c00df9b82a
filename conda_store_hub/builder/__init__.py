"""The builder: a program of its own that turns a `BuildRequest` into an environment and its artifacts."""

import time

STARTED = time.monotonic()
"""When the program began: its imports take longer than a solve."""
