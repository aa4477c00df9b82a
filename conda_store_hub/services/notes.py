"""What the service notes of itself: the banner that somebody set, and how the janitor's last round went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import EditConflictError, InvalidRequestError
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.schemas.notes import MAX_BANNER, Banner, JanitorRun, JobDone
from conda_store_hub.db import notes
from conda_store_hub.db.session import announce
from conda_store_hub.services import audit, rights
from conda_store_hub.services.changes import CLEANING

_BANNER = "banner"
_JANITOR = "janitor"


# The banner


def find_banner(session: Session) -> Banner | None:
    """Return the banner that somebody set while the service ran, which may be an empty one; None for none."""
    row = notes.find(session, _BANNER)
    return None if row is None else Banner.model_validate(row.value)


def set_banner(
    session: Session,
    identity: Identity,
    banner: Banner | None,
    *,
    seen: Banner | None = None,
    configured: Banner | None = None,
) -> None:
    """Set the banner of all pages; None goes back to the configuration's, an empty message shows none.

    `seen`: the one that was shown before; raise EditConflictError if that is another by now. `configured`: the one of
    the configuration.
    """
    rights.require_service(identity, Permission.SETTING_UPDATE)
    if seen is not None and (find_banner(session) or configured or Banner(message="")) not in (seen, banner):
        raise EditConflictError("Somebody else has changed the banner since you began.")
    if banner is None:
        notes.remove(session, _BANNER)
        audit.record(session, identity, AuditAction.BANNER_SET, detail="as in the configuration")
        return
    if len(banner.message) > MAX_BANNER:
        raise InvalidRequestError(f"A banner has at most {MAX_BANNER} characters.")
    notes.put(session, _BANNER, banner.model_dump(mode="json"), by=identity.name, now=datetime.now(UTC))
    detail = f"{banner.level}: {banner.message}" if banner.message else "none"
    audit.record(session, identity, AuditAction.BANNER_SET, detail=detail)


# The janitor


def find_run(session: Session) -> JanitorRun | None:
    """Return the janitor's last whole round, or the one that is asked for or goes on."""
    row = notes.find(session, _JANITOR)
    return None if row is None else JanitorRun.model_validate(row.value)


def ask_to_clean(session: Session, identity: Identity) -> None:
    """Have the janitor do a whole round now; only who administers all may ask."""
    rights.require_service(identity, Permission.SETTING_UPDATE)
    _keep(session, JanitorRun(began_on=datetime.now(UTC), asked_by=identity.name))
    audit.record(session, identity, AuditAction.JANITOR_RUN)
    announce(session, CLEANING)


def begin_run(session: Session) -> JanitorRun:
    """Write down that a round begins, with who asked for it."""
    last = find_run(session)
    asked_by = last.asked_by if last is not None and last.ended_on is None else None
    run = JanitorRun(began_on=datetime.now(UTC), asked_by=asked_by)
    _keep(session, run)
    return run


def end_run(session: Session, run: JanitorRun, jobs: Sequence[JobDone]) -> None:
    """Write down how a round went, unless another was asked for meanwhile: that one follows."""
    if find_run(session) == run:
        _keep(session, run.model_copy(update={"ended_on": datetime.now(UTC), "jobs": tuple(jobs)}))


def _keep(session: Session, run: JanitorRun) -> None:
    notes.put(session, _JANITOR, run.model_dump(mode="json"), by=run.asked_by, now=run.began_on)
