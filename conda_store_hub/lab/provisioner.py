"""Start a kernel in its activated environment, and keep the environment's path out of the list of processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import ensure_async
from traitlets import Float, Integer, List, Unicode

from conda_store_hub.core.errors import ActivationError, GoneError
from conda_store_hub.lab.activation import HARMLESS, Activation, clean_variables, make_script, parse_variables
from conda_store_hub.lab.leases import LeaseKeeper
from conda_store_hub.lab.specs import EnvironmentKernelSpec

MAX_ACTIVATIONS = 64
MAX_COMPLAINT = 2000  # characters of a script's stderr in an error message
# The script comes on stdin, because a command line is everybody's to read and the script names the prefix.
_READ_SCRIPT = 'IFS= read -r -d "" script; exec </dev/null; eval "$script"'


class CondaStoreHubProvisioner(LocalProvisioner):
    """Starts kernels of environments; `prefix`, `build_id` and `environment` come with the kernel spec."""

    prefix = Unicode(help="Path of the environment's prefix on this machine.")
    build_id = Integer(help="The build that the prefix belongs to.")
    environment = Unicode(help="NAMESPACE/NAME, shown as CONDA_DEFAULT_ENV.")

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

    # One server activates the same few environments again and again; a prefix never changes, a name may.
    _activations: ClassVar[OrderedDict[tuple[str, str, int], Activation]] = OrderedDict()

    keeper: ClassVar[LeaseKeeper | None] = None  # of this server, while it knows a service

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
            self._release_build()

    async def _prepare(self, **kwargs: Any) -> dict[str, Any]:
        await self._follow_active_build()
        inherited: Mapping[str, str] = kwargs.pop("env", None) or os.environ
        variables = clean_variables(inherited, self.keep_variables)
        leave = inherited.get("CONDA_PREFIX")
        activation, _ = await asyncio.gather(
            self._activate(variables, None if leave is None else Path(leave)), self._hold_build()
        )
        kwargs = await super().pre_launch(env=activation.apply(variables), **kwargs)
        cmd, executable = await asyncio.to_thread(self._find_program, kwargs["cmd"], kwargs["env"]["PATH"])
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
        if not isinstance(spec, EnvironmentKernelSpec):
            return
        config: dict[str, Any] = spec.metadata["kernel_provisioner"]["config"]
        if any(getattr(self, name) != value for name, value in config.items()):
            self.log.info("%s restarts in build %s", config["environment"], spec.build_id)
            manager._kernel_spec = self.kernel_spec = spec  # noqa: SLF001 the command is made from the manager's
            for name, value in config.items():
                setattr(self, name, value)

    async def _hold_build(self) -> None:
        """Say that this kernel needs its build, and no longer the one it ran in before."""
        if self.keeper is None:
            return
        try:
            await self.keeper.hold(self._holder, self.build_id)
        except GoneError as exc:
            raise ActivationError(
                f"Build {self.build_id} of {self.environment} was deleted: choose the kernel again."
            ) from exc

    def _release_build(self) -> None:
        if self.keeper is not None:
            self.keeper.release(self._holder)

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
        await asyncio.to_thread(self._require_prefix)
        key = (self.prefix, self.environment, self.build_id)
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
            make_script, Path(self.prefix), environment=self.environment, path=before["PATH"], leave=leave
        )
        output, said = await self._run_bash(script, before)
        after = parse_variables(output)
        if after.get("CONDA_PREFIX") != self.prefix:
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

    def _require_prefix(self) -> None:
        if not Path(self.prefix).is_dir():
            raise ActivationError(
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
