"""What a service may demand of a build: constraints, exclusions, virtual packages, limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conda_store_hub.builder.limits import list_family, measure
from conda_store_hub.core.protocol import BuildLimits
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.support.builder import Outcome, Workshop, make_wheel, run_builder, serve_index


def versions(outcome: Outcome) -> dict[str, str]:
    assert outcome.succeeded, outcome.log
    return {package.name: package.version for package in outcome.lock.packages}


def test_a_constraint_limits_without_installing(workshop: Workshop) -> None:
    outcome = workshop.build("app", solve_only=True, constraints=("base-lib <2", "old-app"))
    assert versions(outcome) == {"app": "1.0", "base-lib": "1.0"}


def test_what_is_excluded_is_not_installed(workshop: Workshop) -> None:
    outcome = workshop.build("base-lib", solve_only=True, excluded=("base-lib >=2", "app", "no-such-thing"))
    assert versions(outcome) == {"base-lib": "1.0"}


@pytest.mark.parametrize(
    ("dependencies", "rules", "message"),
    [
        (["app >=2"], {"excluded": ("base-lib >=2",)}, "excludes “base-lib >=2”"),
        (["app"], {"excluded": ("python", "base-lib")}, "excludes “base-lib”"),
        (["app"], {"excluded": ("app",)}, "excludes “app”"),
        (["app >=2"], {"constraints": ("base-lib <2",)}, "allows only “base-lib <2”"),
    ],
)
def test_a_policy_that_makes_a_solve_impossible_is_named(
    workshop: Workshop, dependencies: list[str], rules: dict[str, tuple[str, ...]], message: str
) -> None:
    outcome = workshop.build(*dependencies, solve_only=True, **rules)
    assert outcome.error.code == "unsatisfiable"
    assert outcome.error.line == 5
    expected = f"The policy of this service {message}; without that, the specification could be met."
    assert outcome.error.message == expected


def test_a_policy_is_not_blamed_for_what_is_impossible_without_it(workshop: Workshop) -> None:
    outcome = workshop.build("app >=2", "old-app", solve_only=True, excluded=("base-lib >=2",))
    assert outcome.error.message == "“app >=2” and “old-app” cannot be installed together."
    outcome = workshop.build("numpyy", solve_only=True, excluded=("base-lib",))
    assert outcome.error.code == "package-not-found"


@pytest.mark.parametrize("rules", [{"excluded": ("a 1 b",)}, {"constraints": ("a >",)}, {"constraints": ("/etc/x",)}])
def test_a_policy_that_cannot_be_used_is_said_so(workshop: Workshop, rules: dict[str, tuple[str, ...]]) -> None:
    outcome = workshop.build("app", solve_only=True, **rules)
    assert outcome.error.code == "invalid-request"
    assert outcome.error.message.startswith("The policy of this service cannot be used: “")


def test_virtual_packages_can_be_given(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "fast", "1.0", depends=["__cuda >=99"])
    make_package(tmp_path, "modern", "1.0", depends=["__glibc >=2.99"])
    make_package(tmp_path, "new", "1.0", depends=["__archspec * x86_64_v3"])
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        offered = ("__cuda=99.1", "__glibc=3.0", "__archspec=1=x86_64_v3")
        outcome = workshop.build("fast", "modern", "new", channels=(address,), solve_only=True, virtual=offered)
        old = workshop.build("modern", channels=(address,), solve_only=True, virtual=("__glibc=2.17",))
    assert set(versions(outcome)) == {"fast", "modern", "new"}
    assert "This machine does not offer __glibc >=2.99." in old.error.message


# Limits.


def test_a_build_that_takes_too_much_memory_is_ended(workshop: Workshop) -> None:
    outcome = workshop.build("app", limits=BuildLimits(memory_bytes=10_000_000))
    assert outcome.error.code == "limit-exceeded"
    assert outcome.error.message == "The build needs more than 10.0 MB of memory, the most that it may take."
    assert outcome.events[-1] is outcome.error
    assert outcome.code == 10


def test_limits_that_are_wide_enough_disturb_nothing(workshop: Workshop) -> None:
    limits = BuildLimits(
        memory_bytes=2 << 30, disk_bytes=2 << 30, file_count=50_000, install_seconds=100, pip_seconds=100
    )
    outcome = workshop.build("python", "flask", pip=["tiny-pip"], limits=limits)
    assert outcome.succeeded, outcome.log


def test_packages_that_are_too_large_are_not_installed(workshop: Workshop) -> None:
    outcome = workshop.build("python", limits=BuildLimits(disk_bytes=1_000_000))
    assert outcome.error.code == "limit-exceeded"
    assert "before they are unpacked, and an environment may take 1.0 MB." in outcome.error.message
    assert "install" not in {getattr(event, "name", "") for event in outcome.events}


def test_packages_that_are_large_when_they_are_unpacked_are_noticed(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "bomb", "1.0", files={"share/zeros": "0" * 5_000_000})
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("bomb", channels=(address,), limits=BuildLimits(disk_bytes=1_000_000))
    assert outcome.error.code == "limit-exceeded"
    assert outcome.error.message == "The environment is larger than 1.0 MB, its limit."


def test_an_environment_of_too_many_files_is_refused(workshop: Workshop) -> None:
    outcome = workshop.build("python", limits=BuildLimits(file_count=100))
    assert outcome.error.code == "limit-exceeded"
    assert outcome.error.message == "The environment has more than 100 files, its limit."


def test_a_pip_part_that_is_too_large_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    plain = workshop.request("python")
    assert run_builder(plain).succeeded
    _, files = measure(Path(plain.directories.prefix))
    make_wheel(tmp_path, "large_pip", "1.0", {f"large_pip/{number}.txt": "0" for number in range(3_000)})
    with serve_index(tmp_path) as address:
        limits = BuildLimits(file_count=files + 1_000)
        outcome = workshop.build("python", pip=["large-pip"], pip_index=address, limits=limits)
    assert outcome.error.code == "limit-exceeded"
    assert "files, its limit" in outcome.error.message
    assert "Traceback" not in outcome.log


def test_memory_of_descendants_is_counted() -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    try:
        assert {os.getpid(), process.pid, grandchild} <= set(list_family(os.getpid()))
    finally:
        os.kill(grandchild, 9)
        process.kill()
        process.wait()
        process.stdout.close()
