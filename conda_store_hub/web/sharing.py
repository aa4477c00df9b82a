"""Roles given by the API and by pages alike: the Hub is asked who is meant, once it is known that one may give any."""

from __future__ import annotations

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Identity, Permission, SubjectKind
from conda_store_hub.services import grants
from conda_store_hub.services.grants import Place
from conda_store_hub.web.base import Services


async def give_role(services: Services, identity: Identity, place: Place, request: schemas.GrantRole) -> schemas.Member:
    """Give a role, to somebody who is there: who may not share here learns nothing about who is."""
    await services.db.read(grants.require, identity, place, Permission.MEMBERS_UPDATE)
    return await services.db.write(
        grants.grant,
        identity,
        place,
        request,
        user_id=await _find_subject(services, identity, request),
        anonymous_allowed=services.auth.allow_anonymous,
    )


async def _find_subject(services: Services, identity: Identity, request: schemas.GrantRole) -> int | None:
    """Return this service's number of the user that is meant; None for what is no user."""
    name = request.name or ""
    if request.subject is SubjectKind.USER:
        user_id = await services.auth.find_user_id(services.db, name)
        if user_id is None:
            raise NotFoundError(f"There is no user “{shorten(name)}” on this Hub.")
        return user_id
    if request.subject is SubjectKind.GROUP and not await _knows_group(services, identity, name):
        raise NotFoundError(f"You are in no group “{shorten(name)}” of this Hub; only its administrators know others.")
    return None


async def _knows_group(services: Services, identity: Identity, name: str) -> bool:
    """Tell whether a group is there, to who may know: which groups a Hub has is not for all of its users."""
    if name in identity.groups:
        return True
    return identity.administers_all and await services.auth.hub.has_group(name)
