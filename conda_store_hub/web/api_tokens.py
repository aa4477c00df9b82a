"""API: tokens that users make for their programs."""

from __future__ import annotations

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, NotFoundError, TokenTooStrongError
from conda_store_hub.services import tokens
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Id, PagedQuery, Text


class TokensQuery(PagedQuery):
    """Whose tokens are meant."""

    user: Text | None = Field(None, description="The Hub's name of a user; others than oneself for administrators.")
    after: Id | None = Field(None, description="Only those behind this one, the newest first: a cursor.")


class TokensHandler(ApiHandler):
    """`/api/v1/token/`."""

    @Operation(answer=schemas.Page[schemas.TokenView], query=TokensQuery, errors=(NotFoundError,))
    async def get(self) -> None:
        """List one's tokens that were not revoked, the newest first, with when each was used last."""
        query = self.read_query(TokensQuery)
        rows, count = await self.services.db.read(
            tokens.list_tokens, self.identity, user=query.user, page=query.page, size=query.size, after=query.after
        )
        self.write_model(schemas.Page[schemas.TokenView](data=rows, page=query.page, size=query.size, count=count))

    @Operation(
        answer=schemas.Answer[schemas.NewToken],
        body=schemas.MakeToken,
        fresh=True,
        errors=(NotFoundError, TokenTooStrongError, ConflictError),
    )
    async def post(self) -> None:
        """Make a token: its text is in this answer and nowhere else.

        It is worth at most what its owner may at the time it is used, and as `Bearer` or as the password of `Basic`.
        """
        request = self.read_body(schemas.MakeToken)
        made = await self.services.db.write(tokens.make, self.identity, request, pepper=self.services.auth.pepper)
        self.write_model(schemas.Answer[schemas.NewToken](data=made))


class TokenHandler(ApiHandler):
    """`/api/v1/token/ID/`."""

    @Operation(answer=schemas.Answer[None])
    async def delete(self, token_id: str) -> None:
        """Revoke a token: it is worth nothing from now on."""
        await self.services.db.write(tokens.revoke, self.identity, arguments.read_token(token_id))
        self.write_model(schemas.Answer[None](data=None, message="The token was revoked."))
