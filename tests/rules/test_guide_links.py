"""Every link of the user guide leads to a page that there is, and to a heading on it."""

from __future__ import annotations

import re

import pytest

from conda_store_hub.web.pages.guide import load_guide

BASE = "/docs/"
PAGES = load_guide(BASE)


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    for link in re.findall(r'href="([^"]+)"', PAGES[name].html):
        if re.match(r"https?:", link) or link.startswith(f"{BASE}api/"):
            continue
        assert link.startswith((BASE, "#")), link
        path, _, heading = link.removeprefix(BASE).partition("#")
        target = name if link.startswith("#") else path.rstrip("/") or "index"
        assert target in PAGES, link
        assert not heading or f'id="{heading}"' in PAGES[target].html, link


def test_every_page_is_linked_from_the_first_one() -> None:
    linked = set(re.findall(rf'href="{BASE}([a-z0-9-]+)/"', PAGES["index"].html))
    assert PAGES.keys() - {"index"} <= linked
