"""The sample channel is a real one: what it makes can be solved for, installed anywhere, and run by anybody."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import conda_pack
import pytest
from packaging.specifiers import SpecifierSet

from conda_store_hub.core.errors import ConfigurationError, InvalidRequestError
from conda_store_hub.demo.channel import (
    PREFIX_PLACEHOLDER,
    index,
    make_channel,
    make_package,
    serve_channel,
)
from conda_store_hub.demo.wheels import format_specifiers
from tests.support.channel import (
    install,
    rival_channel,
    sample_channel_dir,
    solve,
    tiny_channel,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"lib/python{PYTHON}"
MEASURED = [f"python {PYTHON}.*", "numpy", "pandas", "ipykernel", "flask"]
NOBODY = "65534"
IMPORTS = "import ssl, sqlite3, ctypes, lzma, bz2, hashlib, uuid, numpy, pandas, ipykernel, flask"


@pytest.fixture(scope="session")
def sample() -> Path:
    return sample_channel_dir()


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """A folder that other users may look into, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="csh"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def prefix(sample: Path, work: Path) -> Path:
    """The measured environment and pip, installed over HTTP into a path of 80 characters."""
    path = work / "p".ljust(79 - len(str(work)), "p")
    assert len(str(path)) == 80
    with serve_channel(sample) as url:
        install(solve([url], [*MEASURED, "pip"], work), path, work)
    return path


def run(*command: str | Path, **variables: str) -> str:
    """Run a command with nothing but these variables, and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_records(channel: Path) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = {}
    for path in channel.glob("*/repodata.json"):
        repodata = json.loads(path.read_text())
        records |= repodata["packages"] | repodata["packages.conda"]
    return records


def list_package_files(channel: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for pattern in ("*.conda", "*.tar.bz2") for path in channel.rglob(pattern)}


# The records.


def test_the_measured_environment_has_about_forty_packages(sample: Path, tmp_path: Path) -> None:
    with serve_channel(sample) as url:
        records = solve([url], MEASURED, tmp_path)
    assert 35 <= len(records) <= 45
    assert {"python", "numpy", "pandas", "ipykernel", "flask"} < {record.name.normalized for record in records}
    assert all(record.md5 and record.sha256 and record.timestamp for record in records)


def test_a_record_says_what_a_real_one_says(sample: Path) -> None:
    records = read_records(sample)
    assert all(record["license"] for record in records.values())
    assert any(name.endswith(".tar.bz2") for name in records)
    by_name = {record["name"]: record for record in records.values()}
    assert by_name["python"]["depends"] == ["__glibc >=2.17"]
    assert by_name["flask"]["noarch"] == "python"
    assert by_name["flask"]["subdir"] == "noarch"
    assert by_name["numpy"]["subdir"].startswith("linux-")
    assert by_name["numpy"]["depends"][0].startswith(f"python >={PYTHON},<")


def test_a_record_for_another_platform_can_be_solved_for_and_holds_nothing(tmp_path: Path) -> None:
    channel = sample_channel_dir(also=("osx-arm64", "win-64"))
    with serve_channel(channel) as url:
        for name in ("osx-arm64", "win-64"):
            records = solve([url], MEASURED, tmp_path / name, platform=name)
            assert {record.subdir for record in records} == {name, "noarch"}
    assert all(path.stat().st_size < 100_000 for path in (channel / "win-64").glob("*.conda"))


@pytest.mark.parametrize(
    ("python_says", "conda_says"),
    [
        ("", ""),
        (">=1.2", ">=1.2"),
        ("<2,>=1.2", ">=1.2,<2"),
        ("~=1.4.2", ">=1.4.2,1.4.*"),
        ("~=1.4", ">=1.4,1.*"),
        ("==1.2", "==1.2"),
        ("==1.2.*", "1.2.*"),
        ("===1.2", "==1.2"),
        ("!=1.5.*,>1", ">1,!=1.5.*"),
    ],
)
def test_versions_are_said_in_condas_words(python_says: str, conda_says: str) -> None:
    assert format_specifiers(SpecifierSet(python_says)) == conda_says


# The interpreter and what is installed.


def test_the_prefix_works_with_an_empty_environment(prefix: Path) -> None:
    assert run(prefix / "bin/python", "-c", f"{IMPORTS}; import sys; print(sys.prefix)").strip() == str(prefix)


@pytest.mark.root
def test_another_user_runs_the_same_interpreter(prefix: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    code = f"{IMPORTS}; import sys; print(sys.prefix, sys.base_prefix); print(open('/proc/self/maps').read())"
    somebody = ["/usr/bin/setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    first, *maps = run(*somebody, prefix / "bin/python", "-c", code).splitlines()
    assert first.split() == [str(prefix), str(prefix)]
    interpreters = {line.split()[-1] for line in maps if "libpython" in line or "/bin/python" in line}
    assert interpreters
    assert all(path.startswith(f"{prefix}/") for path in interpreters)


def test_nothing_of_the_builders_interpreter_is_loaded(prefix: Path) -> None:
    if sys.base_prefix == "/usr":
        pytest.skip("this interpreter's folder is the system's, whose C libraries are used")
    maps = run(prefix / "bin/python", "-c", f"{IMPORTS}; print(open('/proc/self/maps').read())")
    assert f"{sys.base_prefix}/" not in maps


def test_a_library_path_of_the_user_does_not_change_the_interpreter(prefix: Path) -> None:
    code = "print([line.split()[-1] for line in open('/proc/self/maps') if 'libpython' in line][:1])"
    libraries = str(sysconfig.get_config_var("LIBDIR"))
    assert libraries not in run(prefix / "bin/python", "-c", code, LD_LIBRARY_PATH=libraries)


def test_packages_are_looked_for_in_site_packages_alone(prefix: Path) -> None:
    code = (
        "import site, sys, sysconfig; print(site.getsitepackages(), sysconfig.get_path('purelib'),"
        " [p for p in sys.path if p.endswith('-packages')])"
    )
    folder = f"{prefix}/{LIBRARY}/site-packages"
    assert run(prefix / "bin/python", "-c", code).strip() == f"['{folder}'] {folder} ['{folder}']"


def test_no_placeholder_is_left_and_no_binary_file_had_one(prefix: Path) -> None:
    marked = 0
    for record in (prefix / "conda-meta").glob("*.json"):
        for path in json.loads(record.read_text())["paths_data"]["paths"]:
            if path.get("prefix_placeholder"):
                marked += 1
                content = (prefix / path["_path"]).read_bytes()
                assert path["file_mode"] == "text"
                assert PREFIX_PLACEHOLDER.encode() not in content
                assert str(prefix).encode() in content
    assert marked > 3


@pytest.mark.parametrize("command", ["flask", "pip", "jupyter-kernelspec", "f2py"])
def test_commands_run_by_their_path(prefix: Path, command: str) -> None:
    argument = "-v" if command == "f2py" else "--version"
    assert run(prefix / "bin" / command, argument, HOME="/nonexistent").strip()


def test_the_kernel_names_the_python_of_its_prefix(prefix: Path) -> None:
    kernel = json.loads((prefix / "share/jupyter/kernels/python3/kernel.json").read_text())
    assert kernel["argv"][0] == f"{prefix}/bin/python"


def test_pip_and_uv_know_what_conda_installed(prefix: Path) -> None:
    python = prefix / "bin/python"
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json", HOME="/nonexistent"))
    assert {"numpy", "pandas", "ipykernel"} < {package["name"] for package in listed}
    run(sys.executable, "-m", "uv", "--no-config", "--no-cache", "pip", "check", "--python", python)
    code = "from importlib.metadata import distribution as d; print(d('flask').read_text('INSTALLER'))"
    assert run(python, "-c", code).strip() == "conda"


def test_every_file_is_in_the_record_of_its_package(prefix: Path) -> None:
    code = (
        "from importlib.metadata import distribution\n"
        "for name in ('flask', 'numpy'):\n"
        "    for file in distribution(name).files:\n"
        "        assert file.locate().exists(), file\n"
        "        if file.hash:\n"
        "            assert file.size == file.locate().stat().st_size, file\n"
    )
    run(prefix / "bin/python", "-c", code)


def test_a_packed_prefix_runs_where_it_is_unpacked(prefix: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    conda_pack.pack(prefix=str(prefix), output=str(elsewhere), format="no-archive")
    run(elsewhere / "bin/python", elsewhere / "bin/conda-unpack", PATH="/usr/bin:/bin")
    assert run(elsewhere / "bin/python", "-c", f"{IMPORTS}; print(flask.__file__)").startswith(f"{elsewhere}/")


def test_debians_interpreter_becomes_a_package_with_the_usual_layout(tmp_path: Path) -> None:
    system = Path("/usr/bin/python3")
    if sys.base_prefix == "/usr" or not system.exists() or f"python{PYTHON}" != system.resolve().name:
        pytest.skip(f"there is no other Python {PYTHON} in /usr/bin here")
    make_wheel(tmp_path / "wheels", "tiny-pure")
    path = os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])
    command = ["-m", "conda_store_hub.demo.channel", tmp_path / "channel", "tiny-pure"]
    wheels = str(tmp_path / "wheels")
    environment = {"PYTHONPATH": path, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    run(system, *command, **environment, UV_FIND_LINKS=wheels, UV_OFFLINE="1")
    prefix = tmp_path / "prefix"
    with serve_channel(tmp_path / "channel") as url:
        install(solve([url], ["tiny-pure"], tmp_path), prefix, tmp_path)
    code = (
        "import sys, ssl, sqlite3, ctypes, site, sysconfig, tiny_pure, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')\n"
    )
    folder = f"{prefix}/{LIBRARY}/site-packages"
    code += "print(sys.prefix, sysconfig.get_path('platlib'), *(p for p in sys.path if 'packages' in p))"
    assert run(prefix / "bin/python", "-c", code).split() == [str(prefix), folder, folder]


# Making it.


def test_a_second_time_makes_nothing(sample: Path) -> None:
    before = list_package_files(sample)
    assert make_channel(sample) == sample
    assert list_package_files(sample) == before


def test_more_requirements_are_added_to_what_is_there(tmp_path: Path, local_wheels: Path) -> None:
    make_wheel(local_wheels, "tiny-pure")
    make_wheel(local_wheels, "tiny-other")
    channel = make_channel(tmp_path / "channel", ["tiny-pure"])
    before = list_package_files(channel)
    make_channel(channel, ["tiny-other"])
    after = list_package_files(channel)
    assert before.items() < after.items()
    assert {record["name"] for record in read_records(channel).values()} == {"python", "tiny-pure", "tiny-other"}


def test_two_processes_make_one_channel(tmp_path: Path, local_wheels: Path) -> None:
    make_wheel(local_wheels, "tiny-pure")
    command = [sys.executable, "-m", "conda_store_hub.demo.channel", str(tmp_path / "channel"), "tiny-pure"]
    processes = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(read_records(tmp_path / "channel")) == 2
    assert not [path for path in tmp_path.rglob("*") if "staging" in path.name]


def test_what_a_killed_process_left_does_not_disturb(tmp_path: Path, local_wheels: Path) -> None:
    make_wheel(local_wheels, "tiny-pure")
    (tmp_path / ".channel.staging/channel/noarch").mkdir(parents=True)
    (tmp_path / ".channel.staging/channel/noarch/half-1-0.conda").write_bytes(b"half")
    make_channel(tmp_path / "channel", ["tiny-pure"])
    assert len(read_records(tmp_path / "channel")) == 2


@pytest.mark.parametrize(
    "requirement", ["-r /etc/hostname", "./local", "name @ https://example.org/name.whl", "no ~~ thing", ""]
)
def test_what_is_not_a_name_with_versions_is_refused(tmp_path: Path, requirement: str) -> None:
    with pytest.raises(InvalidRequestError, match="requirement"):
        make_channel(tmp_path / "channel", [requirement])
    assert not (tmp_path / "channel").exists()


def test_a_platform_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="osx-64"):
        make_channel(tmp_path / "channel", also=["macos"])


def test_a_requirement_that_no_index_has_is_named(tmp_path: Path, local_wheels: Path) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        make_channel(tmp_path / "channel", ["no-such-thing"])
    assert "no-such-thing" in (raised.value.detail or "")
    assert not (tmp_path / "channel").exists()


# Wheels, in all their parts.


@pytest.fixture
def local_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that uv takes wheels from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in {"UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1", "UV_NO_CACHE": "1"}.items():
        monkeypatch.setenv(name, value)
    return folder


def make_wheel(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    pure: bool = True,
    requires: tuple[str, ...] = (),
    files: Mapping[str, str] | None = None,
    entry_points: str = "",
) -> None:
    """Write a wheel with one module; `{data}` in a file name is the wheel's data folder."""
    module = name.replace("-", "_")
    tag = "py3-none-any" if pure else f"py3-none-manylinux_2_17_{platform.machine()}"
    info = f"{module}-{version}.dist-info"
    lines = [f"Requires-Dist: {text}" for text in requires]
    extras = [f"Provides-Extra: {name}" for name in ("more",) if any(name in text for text in requires)]
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "License: MIT License"]
    contents = {
        f"{module}/__init__.py": f"def main():\n    print('{module} runs')\n",
        **{path.format(data=f"{module}-{version}.data"): text for path, text in (files or {}).items()},
        f"{info}/METADATA": "\n".join([*head, *extras, *lines, "", ""]),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {str(pure).lower()}\nTag: {tag}\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = [f"{path},{_hash(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-{tag}.whl", "w") as wheel:
        for path, text in contents.items():
            wheel.writestr(path, text)


def _hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def test_every_part_of_a_wheel_finds_its_place(tmp_path: Path, local_wheels: Path) -> None:
    names = ("tiny-pure", "tiny-binary")
    for name in names:
        module = name.replace("-", "_")
        files = {
            f"{{data}}/scripts/{name}-script": "#!python\nimport sys\nprint(sys.prefix)\n",
            f"{{data}}/data/share/{name}/data.txt": "data\n",
            f"{{data}}/headers/{name}.h": "int tiny;\n",
        }
        commands = f"[console_scripts]\n{name} = {module}:main\n\n[tiny.plugins]\nx = {module}\n"
        make_wheel(local_wheels, name, pure=name == "tiny-pure", files=files, entry_points=commands)
    channel, prefix = make_channel(tmp_path / "channel", names), tmp_path / "prefix"
    assert {record["name"]: record["subdir"] == "noarch" for record in read_records(channel).values()} == {
        "python": False,
        "tiny-pure": True,
        "tiny-binary": False,
    }
    with serve_channel(channel) as url:
        install(solve([url], names, tmp_path), prefix, tmp_path)
    for name in names:
        assert (prefix / "share" / name / "data.txt").read_text() == "data\n"
        assert len(list((prefix / "include").rglob(f"{name}.h"))) == 1
        assert run(prefix / "bin" / f"{name}-script").strip() == str(prefix)
        assert run(prefix / "bin" / name).strip() == f"{name.replace('-', '_')} runs"


def test_what_a_wheel_requires_becomes_what_the_package_depends_on(tmp_path: Path, local_wheels: Path) -> None:
    make_wheel(
        local_wheels,
        "tiny-top",
        requires=(
            "Tiny_Base[more]~=1.0",
            "tiny-windows; sys_platform == 'win32'",
            "tiny-old; python_version < '3.8'",
            "tiny-unasked; extra == 'more'",
        ),
    )
    make_wheel(local_wheels, "tiny-base", requires=("tiny-extra>=1,<2; extra == 'more'", "tiny-top; extra == 'more'"))
    make_wheel(local_wheels, "tiny-extra", requires=("tiny-base; python_version < '3.13'",))
    records = {record["name"]: record for record in read_records(make_channel(tmp_path / "c", ["tiny-top"])).values()}
    assert records["tiny-top"]["depends"] == ["python", "tiny-base >=1.0,1.*", "tiny-extra >=1,<2", "tiny-top"]
    assert records["tiny-base"]["depends"] == ["python"]
    # Another Python needs something else, which a record cannot say: it is for this one alone.
    assert records["tiny-extra"]["depends"][0].startswith(f"python >={PYTHON},<")


# Packages made by hand.


def test_the_same_package_has_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        make_package(tmp_path / name, "tiny", "1.0", files={"share/b": "b", "share/a": "a"}) for name in ("one", "two")
    )
    assert first.read_bytes() == second.read_bytes()


def test_tiny_packages_do_what_they_are_for(tmp_path: Path) -> None:
    channel, prefix = tiny_channel(tmp_path / "channel"), tmp_path / "prefix"
    wanted = ["app", "activates", "links", "has-prefix", "clobbers-a", "clobbers-b"]
    with serve_channel(channel) as url:
        install(solve([url], wanted, tmp_path), prefix, tmp_path)
    assert run(prefix / "bin/app") == "app 2\n"
    assert (prefix / "post-link-ran").is_file()
    assert (prefix / "share/prefix.txt").read_text() == f"{prefix}/share\n"
    assert (prefix / "share/clobbered.txt").read_text() in {"a\n", "b\n"}
    script = prefix / "etc/conda/activate.d/activates.sh"
    assert run("/bin/sh", "-c", f". {script}; echo $TINY_ACTIVATED", CONDA_PREFIX=str(prefix)).strip() == str(prefix)


@pytest.mark.parametrize("specs", [["app >=2", "old-app"], ["needs-nothing-real"], ["no-such-package"]])
def test_impossible_wishes_stay_impossible(tmp_path: Path, specs: list[str]) -> None:
    from rattler.exceptions import SolverError

    with serve_channel(tiny_channel(tmp_path / "channel")) as url, pytest.raises(SolverError):
        solve([url], specs, tmp_path)


def test_the_first_channel_that_has_a_name_wins(tmp_path: Path) -> None:
    tiny, rival = tiny_channel(tmp_path / "tiny"), rival_channel(tmp_path / "rival")
    with serve_channel(tiny) as first, serve_channel(rival) as second:
        found = {
            record.name.normalized: str(record.version) for record in solve([first, second], ["base-lib"], tmp_path)
        }
        assert found == {"base-lib": "2.0"}
        found = {
            record.name.normalized: str(record.version) for record in solve([second, first], ["base-lib"], tmp_path)
        }
        assert found == {"base-lib": "3.0"}


# The server.


def ask(url: str, method: str = "GET", path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/file")
    connection.getresponse()


def test_the_server_gives_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "served"
    (folder / "noarch").mkdir(parents=True)
    (folder / "noarch/a b.txt").write_bytes(b"content")
    (folder / "link").symlink_to(tmp_path / "secret")
    with serve_channel(folder) as url:
        status, headers, body = ask(url, path="/noarch/a%20b.txt")
        assert (status, headers["Content-Length"], body) == (200, "7", b"content")
        assert ask(url, "HEAD", "/noarch/a%20b.txt")[::2] == (200, b"")
        assert ask(url, path="/noarch/a%20b.txt", If_None_Match=headers["ETag"])[::2] == (304, b"")
        for path in ("/", "/noarch", "/nothing", "/../secret", "/%2e%2e/secret", "/link"):
            assert ask(url, path=path)[0] == 404


def test_a_channel_indexed_again_within_the_second_is_seen_as_changed(tmp_path: Path) -> None:
    make_package(tmp_path, "tiny", "1.0")
    index(tmp_path)
    with serve_channel(tmp_path) as url:
        tag = ask(url, path="/noarch/repodata.json")[1]["ETag"]
        make_package(tmp_path, "tiny", "2.0")
        index(tmp_path)
        assert ask(url, path="/noarch/repodata.json", If_None_Match=tag)[0] == 200


def test_a_client_that_keeps_its_connection_is_not_served_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with serve_channel(tmp_path) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        connection.request("GET", "/file")
        assert connection.getresponse().read() == b"content"
        assert connection.sock is not None
    with pytest.raises(ConnectionError):
        ask_again(connection)
    connection.close()


def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with serve_channel(tmp_path) as url:
        port = urlsplit(url).port
        assert port
        with pytest.raises(ConfigurationError, match=f"Port {port} cannot be used"), serve_channel(tmp_path, port):
            pass


# The command.


def test_the_command_makes_and_serves_until_it_is_told_to_end(tmp_path: Path, local_wheels: Path) -> None:
    make_wheel(local_wheels, "tiny-pure")
    command = [sys.executable, "-m", "conda_store_hub.demo.channel", str(tmp_path / "channel"), "tiny-pure", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert ask(url, path="/noarch/repodata.json")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_command_names_a_requirement_it_cannot_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "conda_store_hub.demo.channel", str(tmp_path / "channel"), "what is this"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == InvalidRequestError.exit_code
    assert "what is this" in done.stderr
    assert "Traceback" not in done.stderr
