"""Channels for tests: the sample channel, made once for a machine, and tiny ones, made in milliseconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import rattler

from conda_store_hub.demo.channel import (
    DEFAULT_REQUIREMENTS,
    PREFIX_PLACEHOLDER,
    get_channel_key,
    index,
    make_channel,
    make_package,
)

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "sample-channel"


def sample_channel_dir(requirements: Sequence[str] = DEFAULT_REQUIREMENTS, *, also: Sequence[str] = ()) -> Path:
    """Return a channel of these requirements, made when it is first asked for and kept between runs."""
    return make_channel(_CACHE / get_channel_key(requirements, also), requirements, also=also)


def solve(urls: Sequence[str], specs: Sequence[str], work: Path, platform: str = "") -> list[rattler.RepoDataRecord]:
    """Return what these specs are solved to, from nothing but the channels; `work` takes the index cache."""

    async def run() -> list[rattler.RepoDataRecord]:
        return await rattler.solve(
            [rattler.Channel(url) for url in urls],
            [rattler.MatchSpec(spec) for spec in specs],
            gateway=rattler.Gateway(cache_dir=work / "repodata"),
            platforms=[rattler.Subdir(platform) if platform else rattler.Subdir.current(), "noarch"],
            virtual_packages=_make_virtual_packages(platform),
        )

    return sorted(asyncio.run(run()), key=lambda record: record.name.normalized)


def install(records: Sequence[rattler.RepoDataRecord], prefix: Path, work: Path) -> None:
    """Install the records into `prefix`; `work` takes the package cache."""
    asyncio.run(
        rattler.install(list(records), prefix, cache_dir=work / "pkgs", show_progress=False, execute_link_scripts=True)
    )


def _make_virtual_packages(platform: str) -> list[rattler.VirtualPackage | rattler.GenericVirtualPackage]:
    if not platform:
        return list(rattler.VirtualPackage.detect())
    name = {"osx-arm64": "__osx", "win-64": "__win"}[platform]
    parts = rattler.PackageName(name), rattler.Version("13.0"), rattler.BuildString("0")
    return [rattler.GenericVirtualPackage(*parts)]


def tiny_channel(directory: Path) -> Path:
    """Return a channel of packages with nothing behind them: `base-lib`, `app` and their like.

    * `base-lib` 1.0 and 2.0, `app` 1.0 (needs `base-lib <2`) and 2.0 (needs `base-lib >=2`)
    * `old-app` needs `base-lib <2`: impossible beside `app >=2`
    * `needs-nothing-real` needs a package that no channel has
    * `activates` sets TINY_ACTIVATED when its environment is activated
    * `links` has a post-link script that writes `post-link-ran`, `links-badly` one that fails
    * `clobbers-a` and `clobbers-b` both own `share/clobbered.txt`
    * `has-prefix` has a text file that names the prefix
    """
    for version, files in {"1.0": {"share/base-lib.txt": "one\n"}, "2.0": {"share/base-lib.txt": "two\n"}}.items():
        make_package(directory, "base-lib", version, files=files)
    make_package(directory, "app", "1.0", depends=["base-lib <2"], files={"bin/app": "#!/bin/sh\necho app 1\n"})
    make_package(directory, "app", "2.0", depends=["base-lib >=2"], files={"bin/app": "#!/bin/sh\necho app 2\n"})
    make_package(directory, "old-app", "0.9", depends=["base-lib <2"])
    make_package(directory, "needs-nothing-real", "1.0", depends=["no-such-package"])
    make_package(
        directory,
        "activates",
        "1.0",
        files={
            "etc/conda/activate.d/activates.sh": 'export TINY_ACTIVATED="$CONDA_PREFIX"\n',
            "etc/conda/deactivate.d/activates.sh": "unset TINY_ACTIVATED\n",
        },
    )
    make_package(directory, "links", "1.0", files={"bin/.links-post-link.sh": 'echo ran > "$PREFIX/post-link-ran"\n'})
    make_package(directory, "links-badly", "1.0", files={"bin/.links-badly-post-link.sh": "exit 3\n"})
    make_package(directory, "clobbers-a", "1.0", files={"share/clobbered.txt": "a\n"})
    make_package(directory, "clobbers-b", "1.0", files={"share/clobbered.txt": "b\n"})
    make_package(directory, "has-prefix", "1.0", files={"share/prefix.txt": f"{PREFIX_PLACEHOLDER}/share\n"})
    index(directory)
    return directory


_SHELL = """\
from subprocess import PIPE, STDOUT, run

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class ShellKernel(Kernel):
    implementation, implementation_version, banner = "sh", "1.0", "sh"
    language_info = {"name": "sh", "mimetype": "text/x-sh", "file_extension": ".sh"}

    def do_execute(self, code, silent, *_, **__):
        done = run(["sh", "-c", code], stdin=PIPE, stdout=PIPE, stderr=STDOUT, text=True)
        if not silent:
            self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": done.stdout})
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


IPKernelApp.launch_instance(kernel_class=ShellKernel)
"""


def shell_channel(directory: Path) -> Path:
    """Return a channel of one package, `sh-kernel`: a kernel whose language is the shell, as others wrap theirs."""
    spec = {"argv": ["python", "-m", "sh_kernel", "-f", "{connection_file}"], "display_name": "Shell", "language": "sh"}
    files = {"site-packages/sh_kernel.py": _SHELL, "share/jupyter/kernels/sh/kernel.json": json.dumps(spec)}
    make_package(directory, "sh-kernel", "1.0", python=True, depends=["ipykernel"], files=files)
    index(directory)
    return directory


def rival_channel(directory: Path) -> Path:
    """Return a channel that has newer versions of names in `tiny_channel`, and one of its own, for priority tests."""
    make_package(directory, "base-lib", "3.0", files={"share/base-lib.txt": "three, from the rival\n"})
    make_package(directory, "app", "1.0", build="1", depends=["base-lib >=3"])
    make_package(directory, "rival-only", "1.0", files={"share/rival.txt": "rival\n"})
    index(directory)
    return directory
