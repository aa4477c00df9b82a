"""How containers of an image start: as those of its base do, with the environment active."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from conda_store_hub.builder.oci_layout import BaseImage
from conda_store_hub.core.errors import ActivationError, ArtifactError
from conda_store_hub.core.oci import IMAGE_PREFIX, Execution
from conda_store_hub.core.package_variables import read_variables

ENTER = f"{IMAGE_PREFIX}/etc/conda-store-hub/enter"
"""Where the script is by which containers start."""
SCRIPT = f"""\
#!/bin/sh
# Has the packages of this environment set what they need, and becomes what is to be run.
if [ -n "${{BASH_VERSION:-}}" ]; then set +o posix
elif command -v bash > /dev/null 2>&1; then exec bash "$0" "$@"; fi
for script in {IMAGE_PREFIX}/etc/conda/activate.d/*.sh; do
  [ -r "$script" ] || continue
  # What this shell cannot read would end it: that is tried out first, in another one.
  if [ "$(. "$script" > /dev/null 2>&1; echo whole)" = whole ]; then . "$script"
  else echo "$script cannot be run by this shell and is left out" >&2; fi
done
exec "$@"
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = "/bin/sh"
_OWN_SHELLS = ("bin/bash", "bin/sh", "bin/dash")
_NO_BASE = "It is put on nothing: there is no C library in it, so it can be mounted and copied from, but not run."
_NO_SCRIPTS = " There is no shell in it or in its base, so the activation scripts of its packages are not run."


class Start:
    """What runs in an image, by the prefix that is in it and the base that it is on."""

    def __init__(self, prefix: Path, base: BaseImage, shell: str) -> None:
        """`shell`: the path of the base's own; empty where it has none."""
        self._prefix = prefix
        self._base = base.config.config or Execution()
        self._shell = self._find_shell(shell)
        self._has_scripts = any((prefix / "etc" / "conda" / "activate.d").glob("*.sh"))
        self._is_alone = not base.layers

    def _find_shell(self, of_base: str) -> str:
        """Return the environment's own shell, or else that of the base; empty where there is none."""
        own = (f"{IMAGE_PREFIX}/{path}" for path in _OWN_SHELLS if (self._prefix / path).is_file())
        return next(own, of_base)

    @property
    def script(self) -> str:
        """The script by which containers start; empty where none is needed, or none could run."""
        return SCRIPT.replace(_SHELL, self._shell, 1) if self._has_scripts and self._shell else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a container cannot do, in words for people."""
        first = _NO_BASE if self._is_alone else ""
        note = first + (_NO_SCRIPTS if self._has_scripts and not self._shell else "")
        return (note.strip(),) if note else ()

    def describe(self, variables: Iterable[tuple[str, str]], labels: Iterable[tuple[str, str]]) -> Execution:
        """Return how containers are run; what is not said here is as the base has it."""
        base = self._base
        entry = (*((ENTER,) if self.script else ()), *(base.entrypoint or ()))
        return base.model_copy(
            update={
                "env": tuple(f"{name}={value}" for name, value in self._set(dict(variables)).items()),
                "entrypoint": entry or None,
                "cmd": base.cmd if base.cmd or base.entrypoint else self._choose_command(),
                "labels": dict(base.labels or {}) | dict(labels) or None,
            }
        )

    def _choose_command(self) -> tuple[str, ...] | None:
        """Return what is run where nobody says what: a shell, or the interpreter."""
        python = f"{IMAGE_PREFIX}/bin/python" if (self._prefix / "bin" / "python").exists() else ""
        command = self._shell or python
        return (command,) if command else None

    def _set(self, variables: dict[str, str]) -> dict[str, str]:
        before = {name: value for name, _, value in (pair.partition("=") for pair in self._base.env or ())}
        active = {
            "PATH": f"{IMAGE_PREFIX}/bin:{before.get('PATH') or _PATH}",
            "CONDA_PREFIX": IMAGE_PREFIX,
            "CONDA_DEFAULT_ENV": IMAGE_PREFIX,
            "CONDA_SHLVL": "1",
        }
        return before | active | self._read_variables() | variables

    def _read_variables(self) -> dict[str, str]:
        """Return what is set in an active environment, as if it stood where the image has it."""
        try:
            found = read_variables(self._prefix)
        except ActivationError as exc:
            raise ArtifactError(exc.message) from exc
        return {name: value.replace(str(self._prefix), IMAGE_PREFIX) for name, value in found.items()}
