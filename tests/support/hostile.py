"""A service in whose database all that people, channels and builders say is markup: no door has looked at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Enum, String, Text, cast, literal, select, update
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactType, Download, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.core.schemas.notes import Banner, JobDone
from conda_store_hub.db.tables import (
    Base,
    BuildTag,
    Environment,
    HubUser,
    Namespace,
    Note,
    Package,
    Specification,
    Token,
    WatchedFile,
)
from conda_store_hub.services import notes, watched
from tests.support.fake_hub import user
from tests.support.service import RunningService

#: What rows are found by, and what is nobody's words: digests, states, and the names in addresses.
_KEPT = {
    "artifact": {"key", "sha256", "base"},
    "authorization_code": {"digest", "challenge"},
    "build": {"lock_key", "channel_state", "prefix_name"},
    "environment": {"name", "name_key", "linked_name"},
    "environment_alias": {"name_key", "name"},
    "image_blob": {"key", "layer_key", "diff_id"},
    "namespace": {"name"},
    "note": {"key"},
    "on_demand": {"key", "wish"},
    "package": {"digest", "manager"},
    "policy": {"key"},
    "role_grant": {"subject"},
    "specification": {"name", "sha256", "text_sha256"},
    "token": {"digest"},
    "watched_file": {"text_sha256"},
    "watched_folder": {"identity"},
}


def mark(where: str) -> str:
    """Return markup that ends whatever it may stand in, is an element that runs, and says where it came from."""
    return f"\"'--></textarea></title></pre></script><img src=x onerror=alert(1)>{where};"


#: An administrator, whose name the Hub gives so, with a group.
VIEWER = mark("viewer")


def list_words() -> Iterator[Column[Any]]:
    """Return all columns in which there are words of somebody."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            is_text = isinstance(column.type, String) and not isinstance(column.type, Enum)
            if is_text and column.name not in _KEPT.get(table.name, ()):
                yield column


def name_of(column: Column[Any]) -> str:
    """Return what a column is called here."""
    return f"{column.table.name}.{column.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoilt:
    """Its builds, by how they are; `deleted` and `completed` are of alice/ml."""

    deleted: int
    completed: int
    failed: int
    cancelled: int
    running: int
    queued: int


def spoil(service: RunningService) -> Spoilt:
    """Fill a service, and put markup into all of its rows. `VIEWER` has root's token at the Hub, and is shown all."""
    service.hub.tokens["root-token"] = user(VIEWER, mark("group"), admin=True)
    deleted, completed, failed = _complete(service), _complete(service), _fail(service)
    service.completed("old")
    cancelled = service.submit("tried-out")
    _give(service, deleted, cancelled)
    running, queued = _run(service), service.submit("tomorrow")
    service.db.write_sync(_note)
    service.db.write_sync(_overwrite)
    return Spoilt(
        deleted=deleted, completed=completed, failed=failed, cancelled=cancelled, running=running, queued=queued
    )


def spoil_names(session: Session) -> None:
    """Put markup into the names of namespaces and environments, too: their own addresses lead nowhere then."""
    session.execute(update(Namespace).values(name=literal(mark("namespace.name")) + cast(Namespace.id, Text)))
    for kind in (Environment, Specification):  # a text is not rewritten to a name that is none
        session.execute(update(kind).values(name=mark("environment.name")))


def _complete(service: RunningService) -> int:
    build = service.submit("ml")
    service.claim(build)
    service.log(build, f"{mark('log')}\n", phases=(PhaseEvent(name=Phase.SOLVE, state="finished", seconds=1),))
    service.use(build, f"python=3.{build}", "ipykernel=6", f"only-{build}=1")
    service.store(build, ArtifactType.YAML, b"x")
    service.finish(build, SolveError("what was to be made beside it was not"))
    return build


def _fail(service: RunningService) -> int:
    build, reason = service.submit("failed"), mark("build.status_info")
    service.claim(build)
    # What the overwritten row says then, which is what its explanation is found by.
    service.log(build, f"Failed: {reason}{build}\n  {mark('explanation')}\n")
    service.finish(build, SolveError(reason))
    return build


def _run(service: RunningService) -> int:
    build = service.submit("slow")
    service.claim(build)
    coming = (Download(name=mark("download"), done=1, total=2),)
    progress = ProgressEvent(phase=Phase.INSTALL, done=1, total=2, unit=mark("unit"), downloads=coming)
    service.log(build, f"{mark('log')}\n", progress=progress)
    return build


def _give(service: RunningService, deleted: int, cancelled: int) -> None:
    """Leave members, tokens, policies, and what was deleted or cancelled."""
    with service.browser("bob"):
        pass
    grant = {"subject": "user", "name": "bob", "role": "viewer"}
    with service.client("alice") as alice:
        alice.put(f"api/v1/build/{cancelled}/cancel/").raise_for_status()
        alice.delete(f"api/v1/build/{deleted}/").raise_for_status()
        for place in ("environment/alice/ml/", "namespace/alice/"):
            alice.put(f"api/v1/{place}member/", json=grant).raise_for_status()
        alice.delete("api/v1/environment/alice/old/").raise_for_status()
    with service.client("root") as root:
        root.post("api/v1/token/", json={"label": "mine", "role": "viewer"}).raise_for_status()
        for place in ("", "alice/", "alice/ml/"):
            root.put(f"api/v1/setting/{place}", json={"keep_builds": 3}).raise_for_status()
        for name in ("course", "gone"):
            root.post(f"api/v1/namespace/{name}/").raise_for_status()
        root.delete("api/v1/namespace/gone/").raise_for_status()


def _note(session: Session) -> None:
    """Write what the service notes of itself, two watched files, and a tag."""
    now = datetime.now(UTC)
    job = JobDone(job=mark("janitor.job"), said=mark("janitor.said"), failed=True)
    notes.end_run(session, notes.begin_run(session), [job])
    banner = Banner(message=mark("banner")).model_dump(mode="json")
    session.add(Note(key="banner", value=banner, set_by=None, set_at=now))
    ml = session.scalars(select(Environment).where(Environment.name == "ml")).one()
    (folder,) = watched.begin(session, ["/srv"])
    same = {"folder_id": folder.id, "text_sha256": "", "seen_at": now}
    session.add(WatchedFile(path="ml.yaml", environment_id=ml.id, **same))
    session.add(WatchedFile(path="bad.yaml", problem="It is none.", **same))
    session.add(BuildTag(environment_id=ml.id, build_id=ml.current_build_id, name="v1", given_at=now))
    session.execute(update(Token).values(last_used_at=now))
    session.execute(update(Package).where(Package.name.startswith("only-")).values(manager="pip"))


def _overwrite(session: Session) -> None:
    for column in list_words():
        table = column.table
        row = cast(next(iter(table.primary_key)), Text)  # so that what has to be told apart is
        words = literal(mark(name_of(column))) + row
        if column.name == "text" and table is Specification.__table__:
            words = "name: ml # " + words + "\ndependencies: [python]\n"  # no text that is none was ever taken
        statement = update(table).values({column.name: words})
        session.execute(statement.where(HubUser.name != VIEWER) if table is HubUser.__table__ else statement)
