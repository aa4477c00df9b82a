"""A real Hub asks the service what a user may start a server from, as that user, while somebody waits for the form."""

from __future__ import annotations

from pathlib import Path

from tests.support.hub import MakeHub, log_in, make_hub
from tests.support.ports import find_ports

__all__ = ["make_hub"]

LINES = """
import conda_store_hub
for number, url in enumerate(("http://127.0.0.1:SERVICE", "http://127.0.0.1:9")):
    profiles = conda_store_hub.image_profiles("hub.example.org", url=url)
    async def form(spawner, profiles=profiles, before=c.Spawner.get("options_form")):
        found = await profiles.profile_list(spawner)
        texts = [f"<p>{each['display_name']}: {each.get('description', '')}.</p>" for each in found]
        return (await before(spawner) if before else "") + "".join(texts)
    c.Spawner.options_form = form
"""


def test_a_form_of_the_hub_offers_what_the_service_tells_or_says_that_it_cannot(
    make_hub: MakeHub, tmp_path: Path
) -> None:
    ports = find_ports()
    hub = make_hub(tmp_path / "hub", ports=ports, lines=LINES.replace("SERVICE", str(ports.service)))
    with log_in(hub, "alice") as browser:
        page = browser.get(f"{hub.url}hub/spawn").text
    told, failed = page.partition("<p>The usual server: .</p>")[2], "cannot be listed at the moment"
    assert told.startswith(f"<p>The usual server: Environments {failed}"), page
    tokens = hub.api("GET", "users/alice/tokens")["api_tokens"]
    ours = [token for token in tokens if token["note"] == "Lists images for a server"]
    told_by_all = {"read:users:name!user=alice", "read:users:groups!user=alice"}
    assert ours
    for token in ours:
        assert set(token["scopes"]) - told_by_all == {"access:services!service=conda-store-hub"}
        assert token["expires_at"]
