"""The same specification for further platforms: solved for, and its pip part locked, without installing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from conda_store_hub.builder.cache_folder import hold_caches
from conda_store_hub.builder.events import say
from conda_store_hub.builder.lockfile import LockedPlatform
from conda_store_hub.builder.piplock import FILE_NAME, find_breach, find_forbidden, name_index, read_pins, read_wheels
from conda_store_hub.builder.records import describe_records
from conda_store_hub.builder.solve import Solver
from conda_store_hub.builder.stubs import write_stubs
from conda_store_hub.builder.uvtool import UvError, UvTool
from conda_store_hub.builder.words import count
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import CondaStoreHubError, PipError
from conda_store_hub.core.matchspec import parse_pip_line
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import BuildRequest, Package

# What uv calls the platforms for which there are wheels.
_UV_PLATFORMS = {
    "linux-64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
    "win-arm64": "aarch64-pc-windows-msvc",
}
_MOST_WORDS = 300


class Elsewhere:
    """Locks for the further platforms of one request. A platform is locked whole, or left out and said to be."""

    def __init__(self, request: BuildRequest, provided: Collection[str]) -> None:
        """Take also the names, normalised, of the Python distributions that conda's packages bring here."""
        self._request = request
        self._provided = provided
        self.locked: list[LockedPlatform] = []
        self.notes: list[str] = []

    def lock(self) -> None:
        """Fill `locked` and `notes`."""
        for platform in self._request.platforms:
            try:
                packages = self._lock(platform)
            except CondaStoreHubError as exc:
                self.notes.append(f"{platform} is not in it. {_shorten(exc.public_message)}")
                say(f"Warning: nothing is locked for {platform}. {exc.public_message}")
                for line in (exc.detail or "").splitlines():
                    say(f"  {line}")
            else:
                self.locked.append(LockedPlatform(platform=platform, packages=packages))
                say(f"Locked for {platform}: {count(len(packages), 'package')}")

    def _lock(self, platform: str) -> tuple[Package, ...]:
        request = self._request.model_copy(
            update={"platform": platform, "records": None, "reuse": None, "pip_lock": None}
        )
        with hold_caches(Path(request.directories.packages)):
            solution = asyncio.run(Solver(request).solve())
        conda = describe_records(solution.records)
        return (*conda, *self._lock_pip(request, conda)) if request.pip else conda

    def _lock_pip(self, request: BuildRequest, conda: Sequence[Package]) -> tuple[Package, ...]:
        """Return the wheels for a platform, where what conda provides counts as installed there as it does here."""
        there: dict[str, str] = {canonicalize_name(each.name): each.version for each in conda}
        provided = {name: there[name] for name in self._provided if name in there}
        text = self._compile(request, there["python"], provided)
        pins = {pin.name: pin.version for pin in read_pins(text)}
        if found := find_forbidden(pins, request):
            raise PipError(f"{found.words}.")
        if breach := find_breach(read_pins(text), request):
            raise breach
        return read_wheels(strip_credentials(text))

    def _compile(self, request: BuildRequest, python: str, provided: dict[str, str]) -> str:
        if request.platform not in _UV_PLATFORMS:
            raise PipError(f"The installer of the pip part knows no wheels for {request.platform}.")
        uv = UvTool(request, Path(request.directories.work) / f"pip-{request.platform}")
        uv.set_up()
        wanted = uv.write("requirements.txt", [str(parse_pip_line(entry)) for entry in request.pip])
        stubs = write_stubs(uv.work / "provided", provided)
        limits = uv.write("constraints.txt", [f"{name}=={version}" for name, version in stubs.items()])
        kept_out = [option for name in stubs for option in ("--no-emit-package", name)]
        try:
            uv.run(
                "pip", "compile", wanted, "-c", limits, "--find-links", "provided", *kept_out,
                "--format", "pylock.toml", "--no-header", "-q",
                "--python-platform", _UV_PLATFORMS[request.platform], "--python-version", python,
                "-o", FILE_NAME, *uv.selection(), aloud=False,
            )  # fmt: skip
        except UvError as exc:
            raise PipError("The pip part has no solution there, or no wheels.", detail=str(exc)) from exc
        return name_index(uv.read(FILE_NAME), request.pip_index or PYPI)


def _shorten(words: str) -> str:
    first = words.partition("\n")[0]
    return first if len(first) <= _MOST_WORDS else f"{first[:_MOST_WORDS]}…"
