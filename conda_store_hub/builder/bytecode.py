"""Bytecode: compiled once for each package and Python, kept beside the package cache, hard-linked into prefixes.

People cannot write to a prefix, so without this every start of Python would compile again. A package's folder in the
store is `TAG/SHA256/`: `manifest.json` lists paths in a prefix, and the file named N is the bytecode of the Nth.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from conda_store_hub.builder.cache_folder import record_use
from conda_store_hub.builder.compiler import Interpreter, Job, compile_jobs, find_interpreter
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.prefix import CondaPackage, LinkedFile, find_site_packages, list_clobbered

_MANIFEST = "manifest.json"
_USUAL_SIZE = 10_000  # of a source whose package does not tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Linked:
    """What was done: files compiled now, files linked into the prefix, and the bytes of those on disk."""

    compiled: int
    linked: int
    size: int


class BytecodeStore:
    """The bytecode of one prefix, and the folder of its Python that prefixes share."""

    def __init__(
        self,
        folder: Path,
        interpreter: Interpreter,
        *,
        prefix: Path,
        library: str,
        packages: Sequence[CondaPackage],
        events: EventWriter,
    ) -> None:
        """`library` is the folder of the standard library in the prefix, such as `lib/python3.11`."""
        self._folder = folder
        self._interpreter = interpreter
        self._prefix = prefix
        self._library = library
        self._packages = [each for each in packages if each.package.sha256]
        # Two packages' bytecode would be in question, and the wrong one would not be noticed.
        self._clobbered = list_clobbered(packages)
        self._events = events
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(
        cls, root: Path, prefix: Path, packages: Sequence[CondaPackage], events: EventWriter
    ) -> BytecodeStore | None:
        """Return the store for the prefix's Python; None without one, or with one older than 3.7."""
        library = (find_site_packages(packages) or "").rpartition("/")[0]
        interpreter = _find_interpreter(root, prefix, packages)
        if interpreter is None:
            return None
        folder = _name_folder(root, interpreter, library)
        return cls(folder, interpreter, prefix=prefix, library=library, packages=packages, events=events)

    def link(self) -> Linked:
        """Link the bytecode of all packages into the prefix; compile what nobody has compiled yet."""
        compiled = self._ensure()
        skipped = {self._cache_path(path) for path in self._clobbered if path.endswith(".py")}
        linker = _Linker(prefix=str(self._prefix), skipped=skipped)
        for each in self._packages:
            if self._has(each):
                linker.link(self._folder / each.package.sha256)
        return Linked(compiled=compiled, linked=linker.linked, size=linker.size)

    def compile_in_place(self, paths: Sequence[str]) -> list[Path]:
        """Compile files that this prefix alone has; return what was written.

        The bytecode is compared with its source's time: what leaves in an archive may be edited there.
        """
        modules = [path for path in paths if path.endswith(".py") and path.startswith(self._library + "/")]
        jobs = [
            Job(source=str(source), target=str(target), name=path, size=source.stat().st_size)
            for path in modules
            if (source := self._prefix / path).is_file()
            and not (target := self._prefix / self._cache_path(path)).exists()
        ]
        for folder in {Path(job.target).parent for job in jobs}:
            folder.mkdir(exist_ok=True)
        results = compile_jobs(self._interpreter, jobs, self._events, by_time=True)
        return [Path(target) for target, fine in results.items() if fine]

    def _has(self, package: CondaPackage) -> bool:
        return (self._folder / package.package.sha256).is_dir()

    def _ensure(self) -> int:
        """Compile what is missing, each package by one builder at a time; return the number of files."""
        compiled = 0
        missing = [each for each in self._packages if not self._has(each)]
        while missing:
            # The locks belong to the process: they end with it, however that ends.
            with (self._folder / ".lock").open("a+b") as locks:
                mine = [each for each in missing if _try_lock(locks, each)]
                if mine:
                    compiled += self._compile([each for each in mine if not self._has(each)])
                    missing = [each for each in missing if each not in mine]
                else:
                    _wait_for_lock(locks, missing[0])
            missing = [each for each in missing if not self._has(each)]
        return compiled

    def _compile(self, packages: Sequence[CondaPackage]) -> int:
        staged = [_Staged(self._stage(each), self._list_sources(each)) for each in packages]
        jobs = [
            Job(
                source=str(self._prefix / file.path),
                target=each.target(number),
                name=file.path,
                size=file.size or _USUAL_SIZE,
            )
            for each in staged
            for number, file in enumerate(each.sources)
        ]
        results = compile_jobs(self._interpreter, jobs, self._events, by_time=False)
        for package, each in zip(packages, staged, strict=True):
            written = [results.get(each.target(number)) for number in range(len(each.sources))]
            if None not in written:
                paths = [
                    self._cache_path(file.path) if fine else None
                    for file, fine in zip(each.sources, written, strict=True)
                ]
                _publish(each.folder, self._folder / package.package.sha256, paths)
        return sum(results.values())

    def _stage(self, package: CondaPackage) -> Path:
        """Make an empty folder; what a builder that was killed left in it goes."""
        folder = self._folder / f".{package.package.sha256}"
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        folder.mkdir()
        return folder

    def _list_sources(self, package: CondaPackage) -> list[LinkedFile]:
        """Return the modules whose content is the same in every prefix, and that bring no bytecode along."""
        brought = {file.path for file in package.files if file.path.endswith(".pyc")}
        return [
            file
            for file in package.files
            if file.path.endswith(".py")
            and file.path.startswith(self._library + "/")
            and file.kind == "hardlink"
            and not file.has_prefix
            and self._cache_path(file.path) not in brought
        ]

    def _cache_path(self, path: str) -> str:
        """Return where Python looks for the bytecode of a module (PEP 3147)."""
        folder, _, name = path.rpartition("/")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{self._interpreter.tag}.pyc"


@dataclass(frozen=True, slots=True)
class _Staged:
    """A package that is being compiled, in a folder that nobody links from."""

    folder: Path
    sources: list[LinkedFile]

    def target(self, number: int) -> str:
        return f"{self.folder}/{number}"


@dataclass(kw_only=True, slots=True)
class _Linker:
    """Links packages' bytecode into one prefix, and counts."""

    prefix: str
    skipped: Collection[str]
    linked: int = 0
    size: int = 0
    _folders: set[str] = field(default_factory=set[str])

    def link(self, folder: Path) -> None:
        """Link one package's files; one that turns out broken is thrown away, for the next build to compile."""
        source = str(folder)
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            for number, path in enumerate(manifest["paths"]):
                if path is not None and path not in self.skipped:
                    self._link_file(f"{source}/{number}", path)
            self.size += manifest["size"]
            record_use(folder)
        except (FileNotFoundError, ValueError, LookupError) as exc:
            say(f"Warning: shared bytecode was damaged and is left out ({exc})")
            shutil.rmtree(folder, ignore_errors=True)

    def _link_file(self, source: str, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self._folders:
            Path(self.prefix, parent).mkdir(parents=True, exist_ok=True)
            self._folders.add(parent)
        try:
            os.link(source, f"{self.prefix}/{path}")
        except FileExistsError:
            return
        except OSError as exc:
            # Too many names for one file, or another file system.
            if exc.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM):
                raise
            shutil.copy2(source, f"{self.prefix}/{path}")
        self.linked += 1


def _publish(staged: Path, folder: Path, paths: Sequence[str | None]) -> None:
    """Make a complete package known in one step."""
    size = sum(entry.stat().st_blocks * 512 for entry in os.scandir(staged))
    (staged / _MANIFEST).write_text(json.dumps({"paths": paths, "size": size}))
    with suppress(FileExistsError):
        staged.rename(folder)


def find_shared(root: Path, prefix: Path, packages: Sequence[CondaPackage]) -> dict[str, dict[str, Path]]:
    """Return, by package, where bytecode belongs in a prefix, and the file of the store that it is a name of.

    A package that the store has nothing of is left out. Nothing of the prefix is believed.
    """
    library = (find_site_packages(packages) or "").rpartition("/")[0]
    interpreter = _find_interpreter(root, prefix, packages)
    if interpreter is None:
        return {each.package.name: {} for each in packages}
    folder = _name_folder(root, interpreter, library)
    shared: dict[str, dict[str, Path]] = {}
    for each in packages:
        if each.package.sha256:
            with suppress(OSError, ValueError, LookupError):
                place = folder / each.package.sha256
                paths = json.loads((place / _MANIFEST).read_bytes())["paths"]
                shared[each.package.name] = {path: place / str(n) for n, path in enumerate(paths) if path is not None}
    return shared


def _find_interpreter(root: Path, prefix: Path, packages: Sequence[CondaPackage]) -> Interpreter | None:
    python = next((each.package.sha256 for each in packages if each.package.name == "python"), None)
    return _describe_once(root, prefix / "bin" / "python", python) if python else None


def _name_folder(root: Path, interpreter: Interpreter, library: str) -> Path:
    # One tag may stand for two layouts: a Python without the global lock keeps packages elsewhere.
    return root / f"{interpreter.tag}-{interpreter.magic}-{library.rpartition('/')[2]}"


def _describe_once(root: Path, executable: Path, sha256: str) -> Interpreter | None:
    """Ask the Python of a package what it is, once for all prefixes that have it."""
    known = root / "pythons" / f"{sha256}.json"
    with suppress(OSError, ValueError, TypeError):
        return Interpreter(executable=executable, **json.loads(known.read_bytes()))
    interpreter = find_interpreter(executable)
    if interpreter is not None:
        facts = asdict(interpreter)
        del facts["executable"]
        known.parent.mkdir(parents=True, exist_ok=True)
        staged = known.with_name(f".{sha256}-{os.getpid()}")
        staged.write_text(json.dumps(facts))
        staged.replace(known)
    return interpreter


def _try_lock(locks: IO[bytes], package: CondaPackage) -> bool:
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(package))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _wait_for_lock(locks: IO[bytes], package: CondaPackage) -> None:
    fcntl.lockf(locks, fcntl.LOCK_EX, 1, _offset(package))


def _offset(package: CondaPackage) -> int:
    """Return the byte of the lock file that stands for the package."""
    return int(package.package.sha256[:14], 16)
