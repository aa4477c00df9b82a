"""One workshop for the tests of the builder: what is compiled once stays compiled."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conda_store_hub.core.protocol import MADE_OF_PREFIXES, BuildRequest
from conda_store_hub.demo.channel import PREFIX_PLACEHOLDER, index, make_package, serve_channel
from tests.support.builder import Outcome, Workshop, make_wheel, run_builder, serve_index
from tests.support.bytecode import link_bytecode
from tests.support.channel import sample_channel_dir, tiny_channel


@dataclass(frozen=True)
class Built:
    """A finished build of everything at once, to look at from many sides."""

    request: BuildRequest
    outcome: Outcome

    @property
    def prefix(self) -> Path:
        return Path(self.request.directories.prefix)

    @property
    def work(self) -> Path:
        return Path(self.request.directories.work)


@pytest.fixture(scope="session")
def sample() -> Generator[str]:
    """The address of the sample channel."""
    with serve_channel(sample_channel_dir()) as address:
        yield address


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a channel of tiny packages."""
    directory = tiny_channel(tmp_path_factory.mktemp("tiny"))
    make_package(
        directory,
        "odd-modules",
        "1.0",
        python=True,
        files={
            "site-packages/odd_modules/__init__.py": "def fail():\n    raise RuntimeError('as wanted')\n",
            "site-packages/odd_modules/broken.py": "this is no Python\n",
            "site-packages/odd_modules/names_prefix.py": f"PREFIX = '{PREFIX_PLACEHOLDER}'\n",
        },
    )
    index(directory)
    with serve_channel(directory) as address:
        yield address


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a package index with a few wheels."""
    directory = tmp_path_factory.mktemp("wheels")
    tiny_pip = {
        "tiny_pip/__init__.py": "import sys\nANSWER = 42\n\ndef main():\n    print(sys.prefix)\n",
        "tiny_pip-1.2.dist-info/entry_points.txt": "[console_scripts]\ntiny-pip = tiny_pip:main\n",
    }
    make_wheel(directory, "tiny_pip", "1.2", tiny_pip, ["flask>=2"])
    make_wheel(directory, "flask", "99.0", {"flask/__init__.py": ""})
    make_wheel(directory, "wants_flask_99", "1.0", {"wants_flask_99.py": ""}, ["flask>=99"])
    make_wheel(directory, "replaces_files", "1.0", {"flask/app.py": "REPLACED = True\n"})
    make_wheel(directory, "plants_bytecode", "1.0", {"flask/__pycache__/app.cpython-311.pyc": "planted"})
    planted = {"plants_records-1.0.data/data/conda-meta/planted-1.0-0.json": "{}"}
    make_wheel(directory, "plants_records", "1.0", planted)
    of_python = ("lib/python311.zip", "pyvenv.cfg", "bin/pybuilddir.txt", "lib/python3.11/ast.abi3.so")
    for number, path in enumerate(of_python):
        make_wheel(directory, f"plants_python_{number}", "1.0", {f"plants_python_{number}-1.0.data/data/{path}": "x"})
    make_wheel(directory, "plants_elsewhere", "1.0", {"plants_elsewhere-1.0.data/data/share/out/planted": "x"})
    with serve_index(directory) as address:
        yield address


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, sample: str, tiny: str, wheels: str) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("w"), [sample, tiny], pip_index=wheels)
    link_bytecode(made.data)
    return made


@pytest.fixture(scope="session")
def built(workshop: Workshop) -> Built:
    """Python, a kernel, packages of both kinds, variables, a pip part, all artifacts."""
    request = workshop.request(
        "python",
        "numpy >=1",
        "flask",
        "ipykernel",
        pip=["tiny-pip"],
        variables=(("GREETING", "good day"), ("NUMBER", "1")),
        artifacts=MADE_OF_PREFIXES,
    )
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    return Built(request, outcome)
