"""API: specifications: built, or only solved for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    BuildError,
    ConflictError,
    EditConflictError,
    InvalidNameError,
    InvalidSpecificationError,
    NotFoundError,
    PolicyRefusedError,
    QuotaExceededError,
    SpecificationTooLargeError,
)
from conda_store_hub.core.source import Source
from conda_store_hub.core.spec import Entry, Specification
from conda_store_hub.web.base import MAX_LOCK_BODY
from conda_store_hub.web.following import FollowingHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Query, Text
from conda_store_hub.web.submission import solve_source, solve_specification, submit_specification

_MOST_LINES = 70  # of each; the HTTP server takes 64 kB of address and headers, and a whole file is sent by POST
_Lines = Annotated[tuple[Text, ...], Field(max_length=_MOST_LINES)]
_OF_A_TEXT = (
    InvalidSpecificationError,
    SpecificationTooLargeError,
    InvalidNameError,
    PolicyRefusedError,
    NotFoundError,
)


class SolveQuery(Query):
    """What is to be solved for, each a parameter that is given as often as there are lines."""

    channel: _Lines = Field((), description="A channel; the first has priority. Without one, the default channels.")
    channels: _Lines = Field((), description="The same, as conda-store's released client says it.")
    conda: _Lines = Field((), description="A dependency, as in an environment.yaml.")
    pip: _Lines = Field((), description="A line of pip's; it is checked, and not part of the solve.")

    def read(self) -> Source:
        """Return it as a specification."""
        return Source(
            specification=Specification(
                channels=_entries((*self.channel, *self.channels)),
                dependencies=_entries(self.conda),
                pip=_entries(self.pip),
            )
        )


def _entries(lines: tuple[str, ...]) -> tuple[Entry, ...]:
    return tuple(Entry(text=line.strip(), line=number, column=1) for number, line in enumerate(lines, start=1))


class SpecificationHandler(FollowingHandler):
    """`/api/v1/specification/`."""

    max_body = MAX_LOCK_BODY

    @Operation(answer=schemas.SolvedList, query=SolveQuery, errors=(*_OF_A_TEXT, BuildError))
    async def get(self) -> None:
        """Solve for some dependencies, as conda-store's clients ask; nothing is built.

        Needs environment:create in one's own namespace, whose rules hold.
        """
        found = await self.follow(solve_source(self.services, self.identity, self.read_query(SolveQuery).read()))
        listed = [schemas.ListedPackage(**dict(each), channel_id=each.channel) for each in found.packages]
        self.write_model(schemas.SolvedList(solve=listed))

    @Operation(
        answer=schemas.Answer[schemas.BuildId],
        body=schemas.SubmitSpecification,
        errors=(*_OF_A_TEXT, ConflictError, EditConflictError, QuotaExceededError),
    )
    async def post(self) -> None:
        """Queue a build of a specification or a lock file; makes the environment if it is new.

        Needs environment:create in the namespace.
        """
        request = self.read_body(schemas.SubmitSpecification)
        build_id = await submit_specification(self.services, self.identity, request, log=self.log)
        self.write_model(schemas.Answer[schemas.BuildId](data=schemas.BuildId(build_id=build_id)))


class SolveHandler(FollowingHandler):
    """`POST /api/v1/specification/solve/`."""

    max_body = MAX_LOCK_BODY

    @Operation(
        answer=schemas.Answer[schemas.SolvedSpecification],
        body=schemas.SolveSpecification,
        errors=(*_OF_A_TEXT, BuildError),
    )
    async def post(self) -> None:
        """Solve for a whole specification and tell what that changes in its environment; nothing is built.

        Needs environment:create in the namespace. Closing the connection ends it.
        """
        request = self.read_body(schemas.SolveSpecification)
        found = await self.follow(solve_specification(self.services, self.identity, request, log=self.log))
        self.write_model(schemas.Answer[schemas.SolvedSpecification](data=found))
