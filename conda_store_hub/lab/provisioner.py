"""Start a kernel in its activated environment, and keep the environment's path out of the list of processes.

Where the environment is not on this machine, it is made before the first start.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import OrderedDict
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, NoSuchKernel
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import ensure_async
from traitlets import Bool, Float, Integer, List, Unicode

from conda_store_hub.client.activation import HARMLESS, Activation, clean_variables, make_script, parse_variables
from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.cached import Hold
from conda_store_hub.core.errors import ActivationError, GoneError
from conda_store_hub.core.names import KernelName
from conda_store_hub.lab.leases import GOODBYE_SECONDS, LeaseKeeper
from conda_store_hub.lab.local import LocalBuilds, find_local_builds
from conda_store_hub.lab.outside import find_keeper
from conda_store_hub.lab.pins import Pins
from conda_store_hub.lab.specs import EnvironmentKernelSpec, relocate_spec

MAX_ACTIVATIONS = 64
MAX_COMPLAINT = 2000  # characters of a script's stderr in an error message
# The script comes on stdin, because a command line is everybody's to read and the script names the prefix.
_READ_SCRIPT = 'IFS= read -r -d "" script; exec </dev/null; eval "$script"'


class CondaStoreHubProvisioner(LocalProvisioner):
    """Starts kernels of environments; `prefix`, `build_id` and `environment` come with the kernel spec."""

    prefix = Unicode(help="Path of the environment's prefix on the service's disk, which this machine may share.")
    build_id = Integer(help="The build that the prefix belongs to.")
    environment = Unicode(help="NAMESPACE/NAME, shown as CONDA_DEFAULT_ENV.")
    service = Unicode(help="Address of the service; stands in kernel specs that were exported.")

    activation_seconds = Float(30.0, config=True, help="How long activating an environment may take.")
    keep_variables = List(
        Unicode(),
        default_value=list(HARMLESS),
        config=True,
        help=(
            "Patterns of variables that kernels inherit from the server although they hold its secrets or"
            " belong to its own environment, such as JUPYTERHUB_API_TOKEN or LD_LIBRARY_PATH."
        ),
    )

    make_local = Bool(
        True,
        config=True,
        help=(
            "Whether an environment that is not on this machine is made in the person's cache before its kernel"
            " starts. Turn it off where every machine sees the service's disk: then it is an error."
        ),
    )

    # One server activates the same few environments again and again; a prefix never changes, a name may.
    _activations: ClassVar[OrderedDict[tuple[str, str, int], Activation]] = OrderedDict()

    # Of this server, while it knows a service.
    keeper: ClassVar[LeaseKeeper | None] = None
    builds: ClassVar[LocalBuilds | None] = None
    pins: ClassVar[Pins | None] = None

    _local: Hold | None = None
    _keeper: LeaseKeeper | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Activate, then prepare as for any local kernel. Raises ActivationError, which says what to do."""
        with self._released_on_failure():
            try:
                return await self._prepare(**kwargs)
            except ActivationError:
                self._forget_start()
                raise

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel's process."""
        with self._released_on_failure():
            return await super().launch_kernel(cmd, **kwargs)

    async def cleanup(self, restart: bool = False) -> None:
        """Let the build go when the kernel has ended for good."""
        await super().cleanup(restart=restart)
        if not restart:
            ended = self._release_build()
            if ended is not None and self._keeper is not self.keeper:  # this process may end at once
                await asyncio.wait({asyncio.wrap_future(ended)}, timeout=GOODBYE_SECONDS)

    @property
    def is_local(self) -> bool:
        """Tell whether the environment was made on this machine."""
        return self._local is not None

    async def _prepare(self, **kwargs: Any) -> dict[str, Any]:
        await self._follow_active_build()
        inherited: Mapping[str, str] = kwargs.pop("env", None) or os.environ
        variables = clean_variables(inherited, self.keep_variables)
        leave = inherited.get("CONDA_PREFIX")
        if self.prefix and await asyncio.to_thread(Path(self.prefix).is_dir):
            self._move_out()
            activating = self._activate(variables, None if leave is None else Path(leave))
            activation, _ = await asyncio.gather(activating, self._hold_build())
        else:
            await self._hold_build()
            self._move_in(await self._ensure_local())
            activation = await self._activate(variables, None if leave is None else Path(leave))
        kwargs = await super().pre_launch(env=activation.apply(variables), **kwargs)
        cmd, executable = await asyncio.to_thread(self._find_program, kwargs["cmd"], kwargs["env"]["PATH"])
        if self._local is not None:
            # The kernel's own process holds it too: it may outlive this server.
            kwargs["pass_fds"] = (self._local.fileno(),)
        return {**kwargs, "cmd": cmd, "executable": executable}

    async def _follow_active_build(self) -> None:
        """Take up the build that the kernel's name stands for now: a manager keeps the first for all restarts."""
        manager: Any = self.parent
        if manager is None:
            return
        try:
            spec = await ensure_async(manager.kernel_spec_manager.get_kernel_spec(manager.kernel_name))
        except NoSuchKernel:
            return
        spec = await self._find_spec(manager.kernel_name, spec)
        if spec is None:
            return
        config: dict[str, Any] = spec.metadata["kernel_provisioner"]["config"]
        if any(getattr(self, name) != value for name, value in config.items()):
            self.log.info("%s starts in build %s", config["environment"], spec.build_id)
            self._take_spec(spec)
            for name, value in config.items():
                setattr(self, name, value)
        if self._is_own and self.pins and KernelName.is_of_build(manager.kernel_name) and spec.view is not None:
            await self.pins.keep(spec.view)

    def _take_spec(self, spec: KernelSpec) -> None:
        self.kernel_spec = spec
        if self.parent is not None:
            manager: Any = self.parent
            manager._kernel_spec = spec  # noqa: SLF001 the command is made from the manager's

    async def _find_spec(self, kernel_name: str, spec: KernelSpec) -> EnvironmentKernelSpec | None:
        """Return what a kernel's name stands for now; None, and it stays what it was, if nobody tells."""
        if isinstance(spec, EnvironmentKernelSpec) and not spec.unseen:
            return spec
        if not isinstance(spec, EnvironmentKernelSpec):  # exported
            builds = self._find_builds() if self.service else None
            return None if builds is None else await builds.find_active_spec(kernel_name)
        builds = self._find_builds()
        found = None if builds is None else await builds.find_build_spec(kernel_name, spec.build_id)
        if found is None:
            if self.pins is not None:
                await self.pins.drop(kernel_name)
            raise ActivationError(f"There is no kernel {kernel_name}: its build does not exist, or you may not use it.")
        return found

    async def _ensure_local(self) -> Hold:
        """Return the environment on this machine, made if it is not there."""
        builds = self._find_builds() if self.make_local else None
        if builds is None:
            raise self._miss_prefix()
        return await builds.ensure(self.kernel_id, self.environment, self.build_id, self.prefix)

    def _move_in(self, hold: Hold) -> None:
        """Start from what was made here, whatever path the kernel's spec names."""
        self._leave_local()
        self._local = hold
        if self.kernel_spec is not None:
            self._take_spec(relocate_spec(self.kernel_spec, self.prefix, str(hold.prefix)))

    def _move_out(self) -> None:
        """Start from the service's prefix, which has come into sight since the kernel started last."""
        if self._local is not None and self.kernel_spec is not None:
            self._take_spec(relocate_spec(self.kernel_spec, str(self._local.prefix), self.prefix))
        self._leave_local()

    def _leave_local(self) -> None:
        if self._local is not None:
            self._local.close()
            self._local = None

    def _find_builds(self) -> LocalBuilds | None:
        own = self.builds if self._is_own else None
        return own or find_local_builds(self.service, self.log)

    @property
    def _is_own(self) -> bool:
        """Tell whether the kernel is of the service that this server knows: an id means another build elsewhere."""
        if not self.service:
            return True
        return self.builds is not None and name_server(self.service) == name_server(self.builds.url)

    @property
    def _root(self) -> Path:
        """Where the environment is on this machine."""
        return Path(self.prefix) if self._local is None else self._local.prefix

    async def _hold_build(self) -> None:
        """Say that this kernel needs its build, and no longer the one it ran in before."""
        self._keeper = self._find_keeper()
        if self._keeper is None:
            return
        try:
            await self._keeper.hold(self._holder, self.build_id)
        except GoneError as exc:
            if self.pins is not None and self.parent is not None:
                await self.pins.drop(self.parent.kernel_name)
            raise ActivationError(
                f"Build {self.build_id} of {self.environment} was deleted: choose the kernel again."
            ) from exc

    def _find_keeper(self) -> LeaseKeeper | None:
        """Return who says that a build is in use: this server, or for a kernel that was exported this process."""
        if self._is_own and (self.keeper is not None or not self.service):
            return self.keeper
        builds = self._find_builds()
        return find_keeper(builds.url, builds.token, self.log) if builds is not None and builds.token else None

    def _release_build(self) -> Future[Any] | None:
        self._leave_local()
        return None if self._keeper is None else self._keeper.release(self._holder)

    @property
    def _holder(self) -> str:
        return f"kernel {self.kernel_id}"

    @contextmanager
    def _released_on_failure(self) -> Generator[None]:
        try:
            yield
        except BaseException:  # a start may be given up, too
            self._release_build()
            raise

    async def _activate(self, variables: dict[str, str], leave: Path | None) -> Activation:
        key = (str(self._root), self.environment, self.build_id)
        activation = self._activations.get(key)
        if activation is None:
            activation = await self._run_activation(variables, leave)
            self._activations[key] = activation
        self._activations.move_to_end(key)
        while len(self._activations) > MAX_ACTIVATIONS:
            self._activations.popitem(last=False)
        return activation

    async def _run_activation(self, variables: dict[str, str], leave: Path | None) -> Activation:
        # BASH_ENV would be sourced first, and what it does is not part of activating.
        before = {name: value for name, value in variables.items() if name not in {"BASH_ENV", "ENV"}}
        script = await asyncio.to_thread(
            make_script, self._root, environment=self.environment, path=before["PATH"], leave=leave
        )
        output, said = await self._run_bash(script, before)
        after = parse_variables(output)
        if after.get("CONDA_PREFIX") != str(self._root):
            raise self._complain("did not come to its end: a script of it ended the shell", said)
        if said:
            self.log.debug("Activating %s said: %s", self.environment, said)
        return Activation.between(before, after)

    async def _run_bash(self, script: str, variables: dict[str, str]) -> tuple[bytes, str]:
        # Files, not pipes: something that a script leaves running would hold a pipe open.
        with TemporaryFile() as source, TemporaryFile() as output, TemporaryFile() as said:
            source.write(script.encode("utf-8", "surrogateescape"))
            source.seek(0)
            process = await self._start_bash(variables, stdin=source, stdout=output, stderr=said)
            try:
                async with asyncio.timeout(self.activation_seconds):
                    await process.wait()
            except TimeoutError:
                seconds = f"{self.activation_seconds:g}"
                raise self._complain(f"took longer than {seconds} s and was stopped", _text(said)) from None
            finally:
                await _end_group(process)
            output.seek(0)
            return output.read(), _text(said)

    async def _start_bash(self, variables: dict[str, str], **streams: Any) -> asyncio.subprocess.Process:
        command = ("--noprofile", "--norc", "-c", _READ_SCRIPT)
        try:
            return await asyncio.create_subprocess_exec(
                "bash", *command, env=variables, start_new_session=True, **streams
            )
        except FileNotFoundError as exc:
            raise ActivationError("Environments are activated with bash, and there is none on this machine.") from exc

    def _miss_prefix(self) -> ActivationError:
        return ActivationError(
            f"Build {self.build_id} of {self.environment} is not on this machine. It may have been deleted:"
            " choose the kernel again. If no environment starts here, this machine does not see the disk of the"
            " service, which is an administrator's to mend."
        )

    def _find_program(self, cmd: list[str], path: str) -> tuple[list[str], str]:
        """Return the command with its program's base name first, and the program.

        A program finds itself through PATH as if it had been typed, so the base name is only used where PATH leads
        to the same place.
        """
        program = shutil.which(cmd[0], path=path)
        if program is None:
            raise ActivationError(
                f"{self.environment} has no {Path(cmd[0]).name}, which its kernel starts with."
                " A Python environment needs the package ipykernel."
            )
        name = Path(program).name
        found = shutil.which(name, path=path)
        if found is not None and _place(found) == _place(program):
            return [name, *cmd[1:]], program
        return [program, *cmd[1:]], program

    def _forget_start(self) -> None:
        """Take a failed start off the list of pending ones.

        jupyter_client 8.10 keeps it there for good, and a server with such a kernel fails to stop on SIGTERM: the
        Hub would have to kill it.
        """
        manager = getattr(self.parent, "parent", None)
        pending = getattr(manager, "_pending_kernels", None)
        if isinstance(pending, dict):
            pending.pop(self.kernel_id, None)

    def _complain(self, what: str, said: str) -> ActivationError:
        self.log.error("Activating %s (build %s) %s. %s", self.environment, self.build_id, what, said)
        wrote = f" It wrote: {said[-MAX_COMPLAINT:]}" if said else ""
        return ActivationError(f"Activating {self.environment} (build {self.build_id}) {what}.{wrote}")


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End a shell that was not waited for, with all it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()


def _place(program: str) -> Path:
    # The last part stays as it is: a venv's python is a link to another prefix's.
    return Path(program).parent.resolve() / Path(program).name
