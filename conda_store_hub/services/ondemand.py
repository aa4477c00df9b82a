"""Images on demand: what there is of a wish, and having built what there is not.

A wish becomes an environment of its own, in a namespace of the service's, and is built there as any other. All who
wish for the same get the same one. What of it is too old is given out once more and built anew meanwhile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import errors, schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    BuildError,
    CondaStoreHubError,
    NotAuthenticatedError,
    NotFoundError,
    PolicyRefusedError,
)
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.ondemand import NAMESPACE, Order, Wish
from conda_store_hub.core.permissions import Claim, Identity, Permission, Reach, Role
from conda_store_hub.core.protocol import LIVE, ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.core.repositories import Repository
from conda_store_hub.core.spec import Specification
from conda_store_hub.db import ondemand as rows
from conda_store_hub.db import queries, records
from conda_store_hub.db.tables import Build, Environment, Namespace, Policy
from conda_store_hub.services import (
    audit,
    builds,
    namespaces,
    ondemand_limits,
    policies,
    rights,
    specifications,
)
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.specifications import PreparedSpecification

WRITER = replace(
    audit.ITSELF,
    bindings=(Claim(role=Role.ADMIN, reach=Reach(kind=NamespaceKind.SYSTEM, namespace=NAMESPACE)),),
)
#: For so long a wish that failed is answered with the reason and not tried again.
AGAIN_AFTER = timedelta(minutes=10)
#: What is given out but cannot be built anew is not tried again for so long.
RENEW_AFTER = timedelta(days=1)
_YIELDS = (ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.DOCKER_MANIFEST)
_KEPT_BUILDS = 2  # the active one, and the one before: a pull of it may be under way
_PLACE = re.compile(r" \(line \d+(, column \d+)?\)$")
_UNSATISFIABLE = {errors.SolveError.code, errors.PackageNotFoundError.code}


def find_repository(session: Session, wish: Wish, rules: BuildRules) -> Repository:
    """Return where the images of a wish are, or would be if there were any; nothing is said of who may read them."""
    order = _order(session, wish, _rules_here(session, rules))
    row = rows.find_environment(session, order.key)
    return Repository(namespace=NAMESPACE, environment=row.name_key if row else order.name)


def _rules_here(session: Session, rules: BuildRules) -> BuildRules:
    namespace = queries.find_namespace(session, NAMESPACE)
    return rules.at(policies.list_layers(session, namespace.id if namespace else None, None))


def _order(session: Session, wish: Wish, rules: BuildRules) -> Order:
    """Return the order of a wish; one that was made of just these words, before equal versions were one, stays."""
    channels = specifications.resolve_channels(Specification(), rules)
    order = Order(wish=wish, channels=channels, platform=rules.platform)
    typed = replace(order, wish=wish.as_typed)
    return typed if typed != order and rows.find_environment(session, typed.key) is not None else order


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What there is of a wish: a build whose image is given out, or that is waited for; and whether one is due."""

    build_id: int | None
    is_due: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A wish, what there is of it, and the rules that it is held against: of its place, and of who asks."""

    order: Order
    standing: Standing
    here: BuildRules
    own: BuildRules | None


def look(session: Session, identity: Identity, wish: Wish, rules: BuildRules) -> Asked:
    """Return what there is of a wish; raise for who may not ask, and the reason of one that failed a moment ago."""
    _require_offered(rules)
    namespace = queries.find_namespace(session, NAMESPACE)
    if namespace is not None:
        _require(session, identity)
    elif not identity.authenticated:
        raise NotAuthenticatedError
    here = _rules_here(session, rules)
    order = _order(session, wish, here)
    return Asked(
        order=order,
        standing=_judge(session, rows.find_environment(session, order.key), rules, datetime.now(UTC)),
        here=here,
        own=_find_own_rules(session, identity, rules),
    )


def _require_offered(rules: BuildRules) -> None:
    if not rules.on_demand.kept_days:
        raise PolicyRefusedError("This service makes no images on demand.")


def _require(session: Session, identity: Identity) -> Namespace:
    try:
        return rights.require_namespace(session, identity, NAMESPACE, Permission.IMAGE_REQUEST)
    except NotFoundError as exc:
        raise errors.UnknownRepositoryError("There are no images on demand here, or none for you.") from exc


def _find_own_rules(session: Session, identity: Identity, rules: BuildRules) -> BuildRules | None:
    """Return the rules of the namespace that somebody works in, if they have one."""
    name = rights.find_own_namespace(session, identity)
    own = queries.find_namespace(session, name) if name else None
    return None if own is None else policies.rules_at(session, rules, own)


def require_allowed(session: Session, identity: Identity, build_id: int, rules: BuildRules) -> None:
    """Raise PolicyRefusedError where a build has what the policy of who asks forbids, by whatever name they ask."""
    ondemand_limits.require_allowed(session, build_id, _find_own_rules(session, identity, rules))


def _judge(session: Session, row: Environment | None, rules: BuildRules, now: datetime) -> Standing:
    """Tell what there is of a wish; raise the reason when its last build failed a moment ago and nothing else is."""
    if row is None:
        return Standing(build_id=None, is_due=True)
    active, latest = row.current_build, row.latest_build
    is_busy = latest is not None and latest.status in LIVE
    ended = None if latest is None else now - (latest.ended_on or latest.scheduled_on)
    if active is not None and _find_image_fault(session, active) is None:
        is_old = now - active.scheduled_on >= timedelta(days=rules.on_demand.fresh_days)
        return Standing(build_id=active.id, is_due=is_old and not is_busy and (ended is None or ended >= RENEW_AFTER))
    if latest is not None and is_busy:
        return Standing(build_id=latest.id, is_due=False)
    if latest is not None and ended is not None and ended < AGAIN_AFTER:
        raise _refusal(session, latest)
    return Standing(build_id=None, is_due=True)


def _find_image_fault(session: Session, build: Build) -> str | None:
    """Return why a build has no image and will have none; None for one that has, or can have, be it in a moment."""
    row = records.find_artifact(session, build.id, ArtifactType.DOCKER_MANIFEST)
    return row.error or "" if row is not None and row.state is ArtifactState.FAILED and row.again_at is None else None


def _refusal(session: Session, build: Build) -> CondaStoreHubError:
    """Return the error that a build ended with, for who wished for it."""
    until = (build.ended_on or build.scheduled_on) + AGAIN_AFTER
    rest = f"The log is that of build {build.id}; whoever asks after {until:%H:%M} UTC has it tried again."
    if build.status is BuildStatus.CANCELED:
        return BuildError(f"The build of this image was cancelled. {rest}")
    words = _find_image_fault(session, build) or build.status_info or "The build failed."
    kind = errors.SolveError if build.error_code in _UNSATISFIABLE else BuildError
    return kind(f"{_PLACE.sub('', words)} {rest}")


def check(asked: Asked) -> PreparedSpecification:
    """Hold a wish against all rules that count for it; raise in words. Nothing here needs the database."""
    asked.order.wish.require_possible()
    request = schemas.ReadSpecification(specification=asked.order.write())
    submission = specifications.read(request, asked.here.platform)
    try:
        if asked.own is not None:
            specifications.check(submission, asked.own)
        return specifications.check(submission, asked.here)
    except (PolicyRefusedError, errors.InvalidSpecificationError) as exc:
        raise PolicyRefusedError(exc.message) from exc  # lines of a text that nobody typed help nobody


def order(
    session: Session, identity: Identity, wanted: Order, prepared: PreparedSpecification, rules: BuildRules
) -> int:
    """Have built what was wished for, once however many ask; return the build that all of them wait for.

    Raises what `look` raises, TooManyRequestsError for who asks for too much, and QuotaExceededError.
    """
    _require_offered(rules)
    _ensure_namespace(session)
    namespace = rights.hold(session, identity, _require(session, identity))
    now = datetime.now(UTC)
    wish = rows.ensure(session, wanted.key, str(wanted.wish), now)
    row = rows.find_environment(session, wanted.key)
    standing = _judge(session, row, rules, now)
    if standing.build_id is not None:
        return standing.build_id
    ondemand_limits.require_rate(session, identity, namespace, now)
    ondemand_limits.require_quota(session, identity, namespace, rules)
    if row is None:
        row = _make_environment(session, identity, namespace, wanted, now)
        wish.environment_id, wish.pulled_at = row.id, now
    wish.asked_by = identity.name
    return _queue(session, identity, row, prepared, rules)


def renew(session: Session, wanted: Order, prepared: PreparedSpecification, rules: BuildRules) -> None:
    """Have an image built anew that is too old; once, and for nobody in particular."""
    namespace = rights.hold(session, WRITER, _require(session, WRITER))
    rows.ensure(session, wanted.key, str(wanted.wish), datetime.now(UTC))
    row = rows.find_environment(session, wanted.key)
    if row is not None and row.namespace_id == namespace.id:
        standing = _judge(session, row, rules, datetime.now(UTC))
        if standing.is_due:
            _queue(session, WRITER, row, prepared, rules)


def _ensure_namespace(session: Session) -> None:
    """Make the namespace, with a policy of its own that an administrator may change."""
    if queries.find_namespace(session, NAMESPACE) is not None:
        return
    row = namespaces.ensure_system(session, WRITER, NAMESPACE)
    now, key = datetime.now(UTC), "keep_builds"
    session.add(Policy(namespace_id=row.id, key=key, value=_KEPT_BUILDS, set_by=WRITER.name, set_at=now))
    audit.record(session, WRITER, AuditAction.POLICY_SET, namespace=row, detail=f"{key}: {_KEPT_BUILDS}")
    session.flush()


def _make_environment(
    session: Session, identity: Identity, namespace: Namespace, wanted: Order, now: datetime
) -> Environment:
    row = Environment(
        namespace=namespace,
        name=wanted.name,
        name_key=wanted.name,
        description=f"{NAMESPACE}/{wanted.wish}",
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(session, identity, AuditAction.ENVIRONMENT_CREATE, namespace=namespace, environment=row)
    return row


def _queue(
    session: Session, identity: Identity, row: Environment, prepared: PreparedSpecification, rules: BuildRules
) -> int:
    specification = builds.keep_specification(session, prepared, datetime.now(UTC))
    build = builds.queue(session, identity, row, specification, rules, yields=_YIELDS)
    audit.record_build(session, identity, AuditAction.BUILD_SUBMIT, build)
    return build.id


def is_there(session: Session, build_id: int) -> bool:
    """Tell whether the environment of a build that was found a moment ago has not been deleted since."""
    row = queries.find_build(session, build_id)
    return row is not None and row.environment.deleted_at is None


def is_usable(session: Session, build_id: int) -> bool:
    """Tell whether a build that is waited for is usable; raise the reason when it never will be."""
    row = queries.find_build(session, build_id)
    if row is None or row.environment.deleted_at is not None:
        raise NotFoundError("This image was deleted before it was there; ask for it again.")
    if row.status in LIVE:
        return False
    if row.status is not BuildStatus.COMPLETED:
        raise _refusal(session, row)
    return True
