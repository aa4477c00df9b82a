"""Draws every page, light and dark, wide and narrow, into `tests/browser/shots`.

`python -m tests.browser.shots [PART]`, with PART for those pages alone that have this in their names.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.storage import prefixes
from tests.support.browser import SHOTS, run_chromium, shoot
from tests.support.gallery import PAGES, Windows, gallery

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 360)]


def main(part: str = "") -> None:
    """Draw them."""
    with tempfile.TemporaryDirectory() as folder, run_chromium() as chromium:
        data = DataDirectory(Path(folder) / "d")
        prefixes.ensure_data_directory(data, publish_links=False)
        with gallery(data) as service:
            for scheme, width in LOOKS:
                draw(Windows(chromium, service, scheme, width), part)
    print(f"They are in {SHOTS}.")


def draw(windows: Windows, part: str) -> None:
    """Draw them in one look."""
    for name, shown in PAGES.items():
        if part in name:
            with windows.show(shown) as page:
                shoot(page, f"page-{name}-{windows.scheme}-{windows.width}")
    windows.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
