"""Values and rows that are valid by default; rows are made through the services, as the product makes them."""

from __future__ import annotations

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.layers import Layer, merge
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, BlobEvent, Kernel, Package, UsableEvent
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, users, work
from conda_store_hub.services.rules import BuildRules

ALICE = Identity(name="alice", groups=frozenset({"physics"}))
BOB = Identity(name="bob")
CAROL = Identity(name="carol", groups=frozenset({"physics"}))
ADMIN = Identity(name="root", admin=True)


def rules(alias: str = "https://channels.example", **changes: object) -> BuildRules:
    """Return rules for builds on linux-64; `changes` are keys of a policy, `hook` or `refusal`."""
    own = {key: changes.pop(key) for key in ("refusal", "hook") if key in changes}
    values = policy.read_values({"default_channels": ["main"], "solve_seconds": 60, **changes})
    layer = Layer(scope=policy.Scope.CONFIGURATION, values=values)
    effective = merge((layer,), channel_alias=alias)
    return BuildRules(policy=effective, platform="linux-64", **own)  # type: ignore[arg-type]


def text(name: str = "ml", *dependencies: str) -> str:
    """Return a specification."""
    lines = "".join(f"  - {line}\n" for line in dependencies or ("python",))
    return f"name: {name}\nchannels:\n  - main\ndependencies:\n{lines}"


def submit(
    db: Database,
    identity: Identity = ALICE,
    *,
    yaml: str | None = None,
    namespace: str | None = None,
    under: BuildRules | None = None,
) -> int:
    """Submit a specification as `identity` and return the build's id."""
    under = under or rules()
    db.write_sync(users.ensure_namespaces, identity)
    prepared = builds.prepare(schemas.SubmitSpecification(specification=yaml or text()), under)
    return db.write_sync(builds.submit, identity, namespace, prepared, under)


def usable(*packages: str, kernels: tuple[str, ...] = ("python3",), channel: str = "") -> UsableEvent:
    """Return what a builder says when a prefix with `name=version` packages is whole."""
    spec = '{"argv": ["python", "-m", "ipykernel_launcher"], "display_name": "Python 3", "language": "python"}'
    made = [package.split("=") for package in packages or ("python=3.11.7", "ipykernel=6.29")]
    return UsableEvent(
        packages=tuple(Package(manager="conda", name=name, version=version, channel=channel) for name, version in made),
        kernels=tuple(Kernel(raw=raw, spec=spec) for raw in kernels),
        size=1000,
        shared_size=2000,
    )


def claim(db: Database, build_id: int) -> work.Ticket:
    """Claim the next build, which must be `build_id`."""
    claim = db.write_sync(work.claim, "local:test")
    assert claim is not None, "nothing is queued"
    assert claim.build_id == build_id
    return claim.ticket


def complete(db: Database, build_id: int, event: UsableEvent | None = None) -> work.Ticket:
    """Claim the next build, which must be `build_id`, and complete it."""
    ticket = claim(db, build_id)
    db.write_sync(work.mark_usable, ticket, event or usable())
    return ticket


def artifact_event(kind: ArtifactType) -> ArtifactEvent:
    """Return what a builder says when an artifact of seven bytes is there."""
    return ArtifactEvent(artifact=kind, path="x", sha256="ab" * 32, size=7)


def blob_event(sha256: str, key: str = "") -> BlobEvent:
    """Return what a builder says when a blob of seven bytes is there; `key` is what its layer is known by."""
    digest = f"sha256:{sha256}"
    return BlobEvent(path="x", digest=digest, size=7, key=key, diff_id=digest if key else "")
