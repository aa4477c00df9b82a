"""The same specification for further platforms: solved for, and its pip part locked, without installing anything."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from pathlib import Path

from conda_store_hub.builder.cache_folder import hold_caches
from conda_store_hub.builder.events import say
from conda_store_hub.builder.lockfile import LockedPlatform
from conda_store_hub.builder.piplock import FILE_NAME, find_breach, find_pip_lock, pin_wheels, read_pins, read_wheels
from conda_store_hub.builder.provided import Provided, make_stubs
from conda_store_hub.builder.records import describe_details, describe_records
from conda_store_hub.builder.solve import Solver
from conda_store_hub.builder.stubs import write_stubs
from conda_store_hub.builder.targets import find_target
from conda_store_hub.builder.uvtool import UvError, UvTool, find_wheelless
from conda_store_hub.builder.words import count
from conda_store_hub.core import disk
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import BuildDiskFullError, CondaStoreHubError, InvalidRequestError, PipError
from conda_store_hub.core.matchspec import parse_pip_line
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import BuildRequest, Package

_MOST_WORDS = 300


class Elsewhere:
    """Locks for the further platforms of one request. A platform is locked whole, or left out and said to be."""

    def __init__(self, request: BuildRequest, provided: Provided) -> None:
        """Take also the Python distributions that conda's packages bring here."""
        self._request = request
        self._provided = provided
        self.locked: list[LockedPlatform] = []
        self.notes: list[str] = []

    def lock(self) -> None:
        """Fill `locked` and `notes`; raise BuildDiskFullError when there is no room to work in."""
        for platform in self._request.platforms:
            try:
                found = self._lock(platform)
            except BaseException as exc:  # the other platforms are locked all the same; a panic is no Exception
                if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                    raise
                self._leave_out(platform, _translate(exc))
            else:
                self.locked.append(found)
                _tell(found)

    def _leave_out(self, platform: str, error: CondaStoreHubError) -> None:
        self.notes.append(f"{platform} is not in it. {_shorten(error.message)}")
        say(f"Warning: nothing is locked for {platform}. {error.public_message}")
        for line in (error.detail or "").splitlines():
            say(f"  {line}")

    def _lock(self, platform: str) -> LockedPlatform:
        request = self._request.model_copy(
            update={"platform": platform, "records": None, "reuse": None, "pip_lock": None}
        )
        if request.locked and not request.list_locked():
            raise InvalidRequestError("The lock file has no packages for it.")
        with hold_caches(Path(request.directories.packages)):
            solution = asyncio.run(Solver(request).solve())
        conda = describe_records(solution.records)
        pip = self._lock_pip(request, conda) if request.has_pip_part else ()
        return LockedPlatform(platform=platform, packages=(*conda, *pip), details=describe_details(solution.records))

    def _lock_pip(self, request: BuildRequest, conda: Sequence[Package]) -> tuple[Package, ...]:
        """Return the wheels for a platform, where what conda provides counts as installed there as it does here."""
        text = find_pip_lock(request, reused=False) or self._compile(request, conda)
        if breach := find_breach(read_pins(text), request):
            raise breach
        return read_wheels(strip_credentials(text))

    def _compile(self, request: BuildRequest, conda: Sequence[Package]) -> str:
        target = find_target(request.platform, request.virtual_packages)
        python = next(each.version for each in conda if each.name == "python")
        uv = UvTool(request, Path(request.directories.work) / f"pip-{request.platform}", target.environment)
        uv.set_up()
        wanted = uv.write("requirements.txt", [str(parse_pip_line(entry)) for entry in request.pip])
        stubs = write_stubs(uv.work / "provided", make_stubs(self._provided, conda))
        limits = uv.write("constraints.txt", [f"{name}=={version}" for name, version in stubs.items()])
        kept_out = [option for name in stubs for option in ("--no-emit-package", name)]
        try:
            uv.run(
                "pip", "compile", wanted, "-c", limits, "--find-links", "provided", *kept_out,
                "--format", "pylock.toml", "--no-header", "-q",
                "--python-platform", target.name, "--python-version", python,
                "-o", FILE_NAME, *uv.selection(), aloud=False,
            )  # fmt: skip
        except UvError as exc:
            raise _explain(str(exc)) from exc
        return pin_wheels(uv.read(FILE_NAME), request.pip_index or PYPI)


def _tell(found: LockedPlatform) -> None:
    pip = [each for each in found.packages if each.manager == "pip"]
    conda = count(len(found.packages) - len(pip), "package")
    say(f"Locked for {found.platform}: {conda} of conda" + (f", and of pip {len(pip)}:" if pip else ""))
    for each in pip:
        say(f"  {each.name}=={each.version} from {each.url}")


def _explain(said: str) -> CondaStoreHubError:
    """Return the error for what uv said: of what there is no wheel, if that is the reason."""
    if disk.tells_full(said):
        return BuildDiskFullError(detail=said)
    found = find_wheelless(said)
    if found is None:
        return PipError("The pip part has no solution there.", detail=said)
    what = "is there only as source for it" if found.has_source else "has no wheel for it"
    return PipError(f"{found.name} {found.version} of the pip part {what}.", detail=said)


def _translate(exc: BaseException) -> CondaStoreHubError:
    """Return the error that a platform is left out for; raise BuildDiskFullError, for no other would do better."""
    if isinstance(exc, BuildDiskFullError) or disk.is_full(exc):
        raise BuildDiskFullError from exc
    if isinstance(exc, CondaStoreHubError):
        return exc
    return InvalidRequestError("Its packages could not be found.", detail="".join(traceback.format_exception(exc)))


def _shorten(words: str) -> str:
    first = words.partition("\n")[0]
    return first if len(first) <= _MOST_WORDS else f"{first[:_MOST_WORDS]}…"
