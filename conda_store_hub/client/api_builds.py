"""What can be asked about builds: what they are, what they hold, what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conda_store_hub.client.transport import Transport
from conda_store_hub.core import schemas
from conda_store_hub.core.states import ArtifactType, BuildStatus


class BuildCalls(Transport):
    """A client's methods about builds."""

    def get_build(self, build_id: int) -> schemas.Build:
        """Return one build in full."""
        return self._get(f"build/{build_id}/", schemas.Answer[schemas.Build]).data

    def build_kernels(self, build_id: int) -> list[schemas.KernelView]:
        """Return the kernels of one build, whether it is active or not."""
        return self._get(f"build/{build_id}/kernels/", schemas.Answer[list[schemas.KernelView]]).data

    def list_builds(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        environment_id: int | None = None,
        status: BuildStatus | None = None,
        packages: Sequence[str] = (),
        artifact: ArtifactType | None = None,
    ) -> Iterator[schemas.BuildSummary]:
        """Yield the builds we may see, the newest first, a page at a time."""
        query = {
            "namespace": namespace,
            "name": name,
            "environment_id": environment_id,
            "status": status,
            "packages": packages,
            "artifact": artifact,
        }
        # Each page goes on behind the last one: builds that are made meanwhile do not move what is still to come.
        return self._pages("build/", schemas.Page[schemas.BuildSummary], query, after=lambda last: {"after": last.id})

    def list_packages(
        self, build_id: int, *, search: str | None = None, why: bool = False
    ) -> Iterator[schemas.Package]:
        """Yield the packages of a build, a page at a time."""
        query = {"search": search, "why": "true" if why else None}
        return self._pages(f"build/{build_id}/packages/", schemas.Page[schemas.Package], query)

    def rebuild(self, build_id: int, *, exact: bool = False, activate: bool = True) -> int:
        """Build the specification of a build once more; return the new build's id."""
        response = self._ask("PUT", f"build/{build_id}/", body=schemas.Rebuild(exact=exact, activate=activate))
        return self._read(response, schemas.Answer[schemas.BuildId]).data.build_id

    def cancel(self, build_id: int) -> None:
        """Ask for the end of a build."""
        self._tell("PUT", f"build/{build_id}/cancel/")

    def delete_build(self, build_id: int, *, force: bool = False) -> None:
        """Delete what a build has on disk."""
        self._tell("DELETE", f"build/{build_id}/", query={"force": "true" if force else None})

    def make_artifact(self, build_id: int, artifact: ArtifactType) -> None:
        """Have a file of a build made that is not there."""
        self._tell("POST", f"build/{build_id}/artifact/", body=schemas.MakeArtifact(artifact_type=artifact))

    def compare(self, build_id: int, other_id: int) -> schemas.PackageDiff:
        """Return which packages changed from the other build to this one."""
        return self._get(f"build/{build_id}/diff/{other_id}/", schemas.Answer[schemas.PackageDiff]).data

    def take_lease(self, build_id: int, holder: str, seconds: int) -> None:
        """Say that something uses a build, so that nobody deletes it; at most for an hour at a time."""
        self._tell("PUT", f"build/{build_id}/lease/", body=schemas.TakeLease(holder=holder, seconds=seconds))

    def end_lease(self, build_id: int, holder: str) -> None:
        """Say that it no longer does."""
        self._tell("DELETE", f"build/{build_id}/lease/", body=schemas.EndLease(holder=holder))
