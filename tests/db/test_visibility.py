"""Lists look at what somebody may see, and not at all there is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Claim, Identity, IdentityKind, Reach, Role, user_subject
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Environment, Grant, HubUser, Namespace
from conda_store_hub.services import environments
from tests.support.plans import explain

NOW = datetime.now(UTC)


def _fill(session: Session) -> None:
    session.add(HubUser(id=1, name="bob", first_seen_at=NOW))
    for number in range(3):
        row = Namespace(name=f"n{number}", kind=NamespaceKind.USER, hub_name=f"u{number}", about={}, created_at=NOW)
        session.add(row)
        session.flush()
        made = Environment(namespace_id=row.id, name="e", name_key="e", created_at=NOW, updated_at=NOW)
        session.add(made)
        session.flush()
        if number:
            single = made.id if number == 1 else None
            session.add(
                Grant(
                    namespace_id=row.id,
                    environment_id=single,
                    subject=user_subject(1),
                    user_id=1,
                    role=Role.VIEWER,
                    created_at=NOW,
                )
            )


def _list(session: Session, identity: Identity) -> int:
    return len(environments.list_environments(session, identity, page=1, size=10)[0])


@pytest.mark.parametrize(
    "identity",
    [
        Identity(name="bob", user_id=1),
        Identity(name="u0", groups=frozenset({"a", "b"})),
        Identity(
            name="token", kind=IdentityKind.TOKEN, bindings=(Claim(role=Role.VIEWER, reach=Reach(namespace="n0")),)
        ),
        Identity(name="root", admin=True),
    ],
    ids=["shared with", "owner", "token", "administrator"],
)
def test_a_page_of_environments_is_walked_by_namespace_and_never_sorted(db: Database, identity: Identity) -> None:
    db.write_sync(_fill)
    found: list[int] = []
    plans = explain(db, lambda session: found.append(_list(session, identity)))
    assert found == [{"bob": 2, "root": 3}.get(identity.name or "", 1)]
    plans = [plan for plan in plans if "uq_namespace_name" in plan]
    assert len(plans) == 1
    assert "SCAN namespace USING INDEX uq_namespace_name" in plans[0]
    assert "SEARCH environment USING INDEX uq_environment_name" in plans[0]
    assert "SCAN environment" not in plans[0]
    assert "TEMP B-TREE" not in plans[0]
