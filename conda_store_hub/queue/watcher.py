"""Has environments follow the files in the folders that are watched.

A notice of a change only says when to look: what is there is compared with what was taken, so nothing is lost when
notices are, or when the service ends at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conda_store_hub.core.errors import CondaStoreHubError, StorageError, UnavailableError
from conda_store_hub.db.session import Database
from conda_store_hub.queue.janitor import Regularly
from conda_store_hub.queue.notices import Notices, Pace
from conda_store_hub.services import builds, hook, specifications, watched
from conda_store_hub.services.changes import wait
from conda_store_hub.services.rules import BuildRules, Proposal
from conda_store_hub.services.watched import NAMESPACE, WRITER, FileText, Folder, Others
from conda_store_hub.storage import folders
from conda_store_hub.storage.folders import FoundFile, Listing, Signature, WatchedPath

_GONE: Signature = ()
_OTHER_AND_EMPTY = "It is empty and not the directory that it was: taken for one that is not mounted."
_FAULT = "The service failed to read this; its administrators find the reason in its log."


@dataclass(kw_only=True, slots=True)
class _Watched:
    """A folder, and what was seen in it."""

    id: int
    where: WatchedPath
    identity: str
    problem: str | None
    taken: dict[str, Signature] = field(default_factory=dict[str, Signature])
    """What every file was like when its text was last looked at."""
    settling: dict[str, Signature] = field(default_factory=dict[str, Signature])
    """What is new since; it has to be the same at the next look."""


@dataclass(kw_only=True, slots=True)
class _Look:
    """What is taken in one look at a folder."""

    files: dict[str, FoundFile]
    gone: set[str]
    names: dict[str, str] | None = None


class Watcher:
    """Looks at all folders at start, after every notice, and every few minutes."""

    def __init__(
        self, *, db: Database, rules: BuildRules, paths: Sequence[str], log: logging.Logger, pace: Pace | None = None
    ) -> None:
        self._db = db
        self._rules = rules
        self._paths = tuple(paths)
        self._log = log
        self._pace = pace or Pace()
        self._notices = Notices(pace=self._pace, log=log)
        self._folders: list[_Watched] = []
        self._released = False  # a name, which another file may have been refused
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run(), name="watcher")

    async def stop(self) -> None:
        """End watching; what was not taken yet is at the next start."""
        await self._notices.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Look once, after each notice, and every few minutes; those that were refused only then."""
        while not await self._begin():  # noqa: ASYNC110 - nothing tells when a database is back
            await asyncio.sleep(self._pace.again)
        self._notices.start([each.where for each in self._folders])
        regularly, seconds = Regularly(self._pace.every), 0.0
        while self._folders:
            if await wait(self._notices.changed, min(seconds, regularly.remaining())):
                self._notices.changed.clear()
                await asyncio.sleep(self._pace.settle)
            refused_too = regularly.is_due() or self._released
            self._released = False
            seconds = min([await self._attempt(each, refused_too=refused_too) for each in self._folders])

    async def _begin(self) -> bool:
        try:
            found = await self._db.write(watched.begin, self._paths)
        except (StorageError, UnavailableError) as exc:
            self._log.warning("watched files: %s; trying again", exc)
            return False
        self._folders = [self._make(each) for each in found]
        return True

    @staticmethod
    def _make(folder: Folder) -> _Watched:
        where = WatchedPath.of(Path(folder.path))
        return _Watched(id=folder.id, where=where, identity=folder.identity, problem=folder.problem)

    # Looking

    async def _attempt(self, each: _Watched, *, refused_too: bool) -> float:
        """Look at a folder, and return after how many seconds it has to be looked at again."""
        try:
            settled = await self._look(each, refused_too=refused_too)
        except (StorageError, UnavailableError) as exc:
            self._log.warning("watched files: %s; trying again", exc)
            return self._pace.again
        except Exception:  # noqa: BLE001 - a process edge: it logs, and the service goes on
            self._log.exception("watched files: looking at %s failed", each.where.folder)
            return self._pace.every
        return self._pace.every if settled else self._pace.settle

    async def _look(self, each: _Watched, *, refused_too: bool) -> bool:
        """Take what is new and has settled, and tell whether all is."""
        known = await self._db.read(watched.list_known, each.id)
        listing = await self._list(each, has_known=bool(known))
        if listing is None:
            return True
        gone = {label for label in known if not listing.may_have(label)}
        refused = {label for label, row in known.items() if row.problem} if refused_too else set[str]()
        now = {label: found.signature for label, found in listing.files.items()} | dict.fromkeys(gone, _GONE)
        new = {label: sign for label, sign in now.items() if label in refused or each.taken.get(label) != sign}
        ready = sorted(
            label for label, sign in new.items() if sign in (each.settling.get(label), each.taken.get(label))
        )
        each.settling = new
        look = _Look(files={label: listing.files[label] for label in ready if label not in gone}, gone=gone)
        for label in look.files:
            await self._take(each, label, look, known.get(label))
        for label in ready:
            if label in gone:
                await self._remove(each, label)
        return not each.settling and not self._released

    async def _list(self, each: _Watched, *, has_known: bool) -> Listing | None:
        """List a folder; None when its environments have to stay as they are, which is said once."""
        try:
            listing = await asyncio.to_thread(folders.list_files, each.where)
        except StorageError as exc:
            await self._record(each, each.identity, exc.public_message)
            return None
        if not listing.files and has_known and each.identity not in ("", listing.identity):
            await self._record(each, each.identity, _OTHER_AND_EMPTY)
            return None
        unread = ", ".join(listing.unread[:5])
        await self._record(each, listing.identity, f"Not all of it can be read: {unread}." if unread else None)
        return listing

    async def _record(self, each: _Watched, identity: str, problem: str | None) -> None:
        if (each.identity, each.problem) == (identity, problem):
            return
        if problem is not None and problem != each.problem:
            self._log.warning("%s: %s Its environments stay as they are.", each.where.folder, problem)
        elif problem is None and each.problem is not None:
            self._log.info("%s can be read again", each.where.folder)
        await self._db.write(watched.record_folder, each.id, identity, problem)
        each.identity, each.problem = identity, problem

    async def _take(self, each: _Watched, label: str, look: _Look, known: watched.KnownFile | None) -> None:
        """Take a file's text if it is another than was taken; what is wrong with it is written down."""
        digest, found = "", look.files[label]
        try:
            text = await asyncio.to_thread(folders.read_file, each.where, found)
            if text is None:
                return
            digest = hashlib.sha256(text.encode()).hexdigest()
            if known is None or known.problem is not None or known.text_sha256 != digest:
                await self._build(each, FileText(folder_id=each.id, path=label, sha256=digest), text, look)
                self._log.info("%s/%s was taken", each.where.folder, label)
        except (StorageError, UnavailableError):
            raise
        except CondaStoreHubError as exc:
            await self._refuse(each, FileText(folder_id=each.id, path=label, sha256=digest), exc.public_message)
        except Exception:  # noqa: BLE001 - one file must not stop the others
            self._log.exception("watched files: %s/%s failed", each.where.folder, label)
            await self._refuse(each, FileText(folder_id=each.id, path=label, sha256=digest), _FAULT)
        each.taken[label] = found.signature
        each.settling.pop(label, None)

    async def _build(self, each: _Watched, file: FileText, text: str, look: _Look) -> None:
        """Hold a text against the rules of its place, and have its environment follow, as if somebody submitted it."""
        submission = await asyncio.to_thread(watched.read, file.path, text, self._rules.platform)
        target = await self._db.read(builds.find_target, WRITER, NAMESPACE, submission.name, self._rules)
        prepared = await asyncio.to_thread(specifications.check, submission, target.rules)
        proposal = Proposal(
            namespace=NAMESPACE,
            environment=submission.name,
            text=text,
            specification=submission.source.specification,
            who=WRITER.name,
        )
        await hook.ask_in_time(proposal, target.rules, self._log)
        holder = await self._db.read(watched.find_holder, file, submission.name)
        names = await self._read_names(each, look) if holder in look.files else {}
        others = Others(gone=look.gone, names=names)
        if await self._db.write(watched.take, file, prepared, self._rules, others):
            self._released = True

    async def _read_names(self, each: _Watched, look: _Look) -> dict[str, str]:
        """Return which environments the files that changed describe; read once in a look, if two want one name."""
        if look.names is None:
            read = functools.partial(_read_names, each.where, look.files, self._rules.platform)
            look.names = await asyncio.to_thread(read)
        return look.names

    async def _refuse(self, each: _Watched, file: FileText, problem: str) -> None:
        if await self._db.write(watched.record_problem, file, problem):
            self._log.warning("%s/%s: %s", each.where.folder, file.path, problem)

    async def _remove(self, each: _Watched, label: str) -> None:
        name = await self._db.write(watched.remove, each.id, label)
        each.taken.pop(label, None)
        each.settling.pop(label, None)
        self._released = True
        if name is not None:
            self._log.info("%s/%s is gone: its environment “%s” was deleted", each.where.folder, label, name)


def _read_names(where: WatchedPath, files: Mapping[str, FoundFile], platform: str) -> dict[str, str]:
    """Return the name in each file that can be read."""
    names: dict[str, str] = {}
    for label, found in files.items():
        with contextlib.suppress(CondaStoreHubError):
            text = folders.read_file(where, found)
            if text is not None:
                names[label] = watched.read(label, text, platform).name
    return names
