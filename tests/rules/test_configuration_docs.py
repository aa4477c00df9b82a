"""docs/configuration.md names every keyword and every setting there is, and none that is not."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from conda_store_hub.app import Serve
from conda_store_hub.hubconfig import ROLE_SCOPES, configure
from conda_store_hub.lab.extension import CondaStoreHubExtension
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def rows_below(head: str) -> set[str]:
    """Return the names in the first column of the table with that head."""
    body = TEXT.split(f"| {head} | default | meaning |\n", 1)[1].split("\n\n", 1)[0]
    return {name for row in body.splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


OF_USERS_SERVERS = (CondaStoreHubExtension, CondaStoreHubProvisioner)


@pytest.mark.parametrize("cls", [*Serve.classes, Serve, *OF_USERS_SERVERS], ids=lambda cls: cls.__name__)
def test_every_setting_is_described(cls: type) -> None:
    assert rows_below(f"`c.{cls.__name__}.…`") == set(cls.class_own_traits(config=True))


def test_every_keyword_of_configure_is_described() -> None:
    parameters = inspect.signature(configure).parameters.values()
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords <= rows_below("keyword")


def test_what_the_service_may_read_is_described() -> None:
    assert all(f"`{scope}`" in TEXT for scope in ROLE_SCOPES)
