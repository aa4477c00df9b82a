"""From what the service says of a kernel to what Jupyter shows and starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import _is_valid_kernel_name
from pydantic import ValidationError

from conda_store_hub.client.kernelspecs import check_pattern, find_python_version
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_spec, make_specs
from tests.support.service_twin import IPYKERNEL, make_kernel


def view(prefix: object = "/p", **more: Any) -> KernelView:
    return KernelView.model_validate(make_kernel(prefix, **more))


def spec_of(python_version: str | None = None, **spec: Any) -> EnvironmentKernelSpec:
    return make_spec(view(spec={**IPYKERNEL, **spec}), python_version=python_version)


@pytest.mark.parametrize("program", ["python", "python3", "python3.11", "python3.12", "/p/bin/python"])
def test_a_python_kernel_starts_with_the_python_of_its_own_prefix(program: str) -> None:
    argv = spec_of(argv=[program, "-m", "ipykernel_launcher", "-f", "{connection_file}"]).argv
    assert argv == ["/p/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.mark.parametrize("program", ["R", "bash", "pythonic", "/elsewhere/bin/python", "/p/bin/xpython"])
def test_other_programs_stay_as_they_are(program: str) -> None:
    assert spec_of(argv=[program, "x"]).argv == [program, "x"]


def test_the_prefix_in_a_command_is_the_environments_and_not_the_servers() -> None:
    assert spec_of(argv=["{prefix}/bin/julia", "--project={prefix}/share"]).argv == [
        "/p/bin/julia",
        "--project=/p/share",
    ]


@pytest.mark.parametrize(
    ("version", "spec", "shown"),
    [
        ("3.11", {}, "alice/ml · Python 3.11"),
        (None, {}, "alice/ml · Python 3 (ipykernel)"),
        ("3.11", {"argv": ["R"], "language": "R", "display_name": "R"}, "alice/ml · R"),
        ("3.11", {"argv": ["xpython"], "display_name": "XPython"}, "alice/ml · XPython"),
        (None, {"display_name": "", "language": "julia"}, "alice/ml · julia"),
        (None, {"display_name": "", "language": ""}, "alice/ml · kernel"),
    ],
)
def test_a_kernel_is_shown_under_its_environment(version: str | None, spec: dict[str, Any], shown: str) -> None:
    assert spec_of(version, **spec).display_name == shown


def test_two_kernels_that_would_be_shown_alike_are_told_apart() -> None:
    specs, _ = make_specs([view(), view(raw="other"), view(environment="geo")])
    assert [spec.display_name for spec in specs] == [
        "alice/ml · Python 3 (ipykernel)",
        "alice/ml · Python 3 (ipykernel) (other)",
        "alice/geo · Python 3 (ipykernel)",
    ]


def test_what_a_kernel_says_of_itself_is_kept() -> None:
    spec = spec_of(
        metadata={"debugger": True, "supported_encryption": ["curve"]},
        interrupt_mode="message",
        env={"A": "${B}"},
        kernel_protocol_version="5.5",
        unknown=["to", "Jupyter"],
    )
    assert spec.metadata["debugger"] is True
    assert spec.metadata["supported_encryption"] == ["curve"]
    assert (spec.interrupt_mode, spec.env, spec.kernel_protocol_version) == ("message", {"A": "${B}"}, "5.5")


def test_the_metadata_hold_what_launchers_and_the_provisioner_need() -> None:
    spec = make_spec(view(namespace="group.team", build_id=7))
    assert spec.metadata["kernel_provisioner"] == {
        "provisioner_name": "conda-store-hub-provisioner",
        "config": {"prefix": "/p", "build_id": 7, "environment": "group.team/ml"},
    }
    flat = {key: value for key, value in spec.metadata.items() if key.startswith("conda_") or key == "Namespace"}
    assert flat == {
        "conda_env_name": "ml",
        "conda_env_path": "/p",
        "conda_language": "Python",
        "conda_raw_kernel_name": "python3",
        "conda_is_base_environment": False,
        "conda_is_currently_running": False,
        "Namespace": "group.team",
        "conda_store_hub": {"build_id": 7},
    }
    assert spec.resource_dir == "/p/share/jupyter/kernels/python3"
    assert _is_valid_kernel_name(spec.name)


def test_the_metadata_tell_the_names_that_a_kernel_had() -> None:
    spec = make_spec(view(build_id=7, aliases=("csh.alice.old.python3",)))
    assert spec.metadata["conda_store_hub"] == {"build_id": 7, "aliases": ["csh.alice.old.python3"]}


def test_an_environment_cannot_choose_its_provisioner() -> None:
    spec = spec_of(metadata={"kernel_provisioner": {"provisioner_name": "other"}, "conda_env_path": "/etc"})
    assert spec.metadata["kernel_provisioner"]["provisioner_name"] == "conda-store-hub-provisioner"
    assert spec.metadata["conda_env_path"] == "/p"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"argv": []},
        {"argv": "python"},
        {"argv": [1]},
        {**IPYKERNEL, "interrupt_mode": "never"},
        {**IPYKERNEL, "env": {"A": 1}},
        {**IPYKERNEL, "metadata": []},
    ],
)
def test_a_kernel_json_that_cannot_be_used_hides_only_its_own_kernel(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_spec(view(spec=spec))
    specs, unusable = make_specs([view(spec=spec), view(environment="geo")])
    assert [made.name for made in specs] == ["csh.alice.geo.python3"]
    assert unusable == ["csh.alice.ml.python3"]


def test_the_version_is_read_from_the_prefix(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert find_python_version(str(tmp_path)) is None
    (tmp_path / "bin" / "python3.13").touch()
    (tmp_path / "bin" / "python").symlink_to("python3.13")
    assert find_python_version(str(tmp_path)) == "3.13"
    specs, _ = make_specs([view(tmp_path)])
    assert specs[0].display_name == "alice/ml · Python 3.13"


def test_where_the_prefix_cannot_be_seen_version_and_logo_are_still_good() -> None:
    (spec,), _ = make_specs([view().model_copy(update={"python": "3.12.1"})])
    assert spec.display_name == "alice/ml · Python 3.12"
    assert (Path(spec.resource_dir) / "logo-64x64.png").is_file()


def test_names_follow_a_pattern_and_differ_all_the_same() -> None:
    views = [view(), view(environment="geo"), view(namespace="bob"), view(raw="other")]
    specs, _ = make_specs(views, pattern="{environment}: {kernel} #{build}")
    assert [spec.display_name for spec in specs] == [
        "ml: Python 3 (ipykernel) #1",
        "geo: Python 3 (ipykernel) #1",
        "ml: Python 3 (ipykernel) #1 (python3)",
        "ml: Python 3 (ipykernel) #1 (other)",
    ]
    constant, _ = make_specs(views, pattern="a kernel")
    assert len({spec.display_name for spec in constant}) == 4


@pytest.mark.parametrize("pattern", ["{x}", "{}", "{0}", "{namespace.__class__}", "{kernel!r}", "{kernel:>9}", "{"])
def test_what_is_no_pattern_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no pattern for names"):
        check_pattern(pattern)
