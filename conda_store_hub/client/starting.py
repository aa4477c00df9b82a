"""Become a command in an activated prefix: same process, same streams, same signals, as if it were called directly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

from conda_store_hub.client.activation import (
    Activation,
    activate_plainly,
    drop_stack,
    make_script_for,
    parse_variables,
)
from conda_store_hub.core.errors import ActivationError

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells say it


def become(
    command: Sequence[str], prefix: Path, *, environment: str, variables: Mapping[str, str], descriptors: Sequence[int]
) -> NoReturn:
    """Run a command in an activated prefix instead of this program; it inherits `descriptors`.

    Raises ActivationError where the environment cannot be activated, OSError where the command cannot be run.
    """
    before = drop_stack(drop_coerced(variables))
    activated = activate_plainly(prefix, environment=environment, variables=before)
    if activated is None:
        activated = _activate_by_scripts(prefix, environment, before, descriptors)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    # Python ignores these, which a command would inherit.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], list(command), activated)  # noqa: S606 the command that was asked for


def drop_coerced(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without the LC_CTYPE that Python sets for itself in the C locale (PEP 538)."""
    try:
        first = Path("/proc/self/environ").read_bytes()
    except OSError:  # only Linux tells
        return dict(variables)
    is_ours = not any(each.startswith(b"LC_CTYPE=") for each in first.split(b"\0"))
    return {name: value for name, value in variables.items() if name != "LC_CTYPE" or not is_ours}


def _activate_by_scripts(
    prefix: Path, environment: str, variables: Mapping[str, str], descriptors: Sequence[int]
) -> dict[str, str]:
    """Return the variables that scripts leave, which a shell sources; it has the caller's input and standard error."""
    # BASH_ENV would be sourced first, and what it does is not part of activating.
    before = {name: value for name, value in variables.items() if name not in {"BASH_ENV", "ENV"}}
    script = make_script_for(prefix, environment=environment, variables=before)
    code, output = _run_bash(script, before, descriptors)
    after = parse_variables(output)
    if after.get("CONDA_PREFIX") != str(prefix):
        raise ActivationError(f"{environment} cannot be activated: a script of it ended the shell with {code}.")
    return Activation.between(before, after).apply(variables)


def _run_bash(script: str, variables: Mapping[str, str], descriptors: Sequence[int]) -> tuple[int, bytes]:
    bash = shutil.which("bash", path=variables.get("PATH", os.defpath))
    if bash is None:
        raise ActivationError("Environments with scripts are activated with bash, and there is none on this machine.")
    # Files without names. On a command line everybody could read the prefix, and a pipe would be held open by what a
    # script leaves running.
    with TemporaryFile() as source, TemporaryFile() as output:
        source.write(script.encode("utf-8", "surrogateescape"))
        source.seek(0)
        process = subprocess.run(
            [bash, "--noprofile", "--norc", f"/dev/fd/{source.fileno()}"],
            env=variables,
            stdout=output,
            pass_fds=(source.fileno(), *descriptors),
            check=False,
        )
        output.seek(0)
        return process.returncode, output.read()
