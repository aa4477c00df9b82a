"""A builder that speaks the protocol and does what the name of the build says: how real ones go wrong.

Started by the runner as the real one is; only the engine is not in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PYTHON: dict[str, Any] = {
    "manager": "conda",
    "name": "python",
    "version": "3.11.7",
    "url": "https://channel.test/python-3.11.7-0.conda",
    "sha256": "ab" * 32,
}


class Script:
    """The request, and ways to report."""

    def __init__(self, request: dict[str, Any], descriptor: int) -> None:
        self.request = request
        self.events = os.fdopen(descriptor, "w", buffering=1)
        self.work = Path(request["directories"]["work"])
        self.prefix = Path(request["directories"]["prefix"])

    def tell(self, kind: str, **values: object) -> None:
        self.events.write(json.dumps({"type": kind, "v": 1, **values}) + "\n")
        self.events.flush()

    def file(self, name: str, text: str) -> dict[str, object]:
        path = self.work / name
        path.write_text(text)
        return {"path": str(path), "sha256": hashlib.sha256(text.encode()).hexdigest(), "size": len(text)}

    def usable(self) -> None:
        if not self.request["prefix_ready"]:
            self.prefix.mkdir()
            (self.prefix / "whole").touch()
            self.tell("lock", path=self.file("records.json", "[]")["path"], packages=[])
            self.tell("phase", name="install", state="started")
            self.tell("progress", phase="install", done=1, total=2, unit="packages")
            self.tell("phase", name="install", state="finished", seconds=0.5)
            kernel = {"raw": "python3", "spec": '{"argv": ["python"], "display_name": "P", "language": "python"}'}
            self.tell("usable", packages=[PYTHON], kernels=[kernel], size=10, shared_size=20)

    def artifacts(self) -> None:
        for kind in self.request["artifacts"]:
            if kind == "DOCKER_MANIFEST":
                self.blobs()
            text = self.layers() if kind == "OCI_ARCHIVE" else f"{kind} of {self.request['name']}"
            self.tell("artifact", artifact=kind, **self.file(kind, text))

    def layers(self) -> str:
        """Return what was brought to be put into an archive."""
        return " and ".join(path.read_text() for path in Path(self.request["image"]["layers"]).iterdir())

    def blobs(self) -> None:
        """Tell of a layer that is there, or make it, and of a configuration."""
        known = self.request["image"]["known"]
        for key, layer in known.items():
            self.tell("blob", digest=layer["digest"], size=layer["size"], key=key, diff_id=layer["diff_id"])
        if not known:
            self.blob("layer", "the layer of python", key=self.key())
        self.blob("config", f"the configuration of {self.request['name']}")

    def blob(self, name: str, text: str, key: str = "") -> None:
        file = self.file(name, text)
        digest = f"sha256:{file['sha256']}"
        self.tell("blob", path=file["path"], digest=digest, size=file["size"], key=key, diff_id=digest if key else "")

    def key(self) -> str:
        from conda_store_hub.core.image_layers import plan_layers
        from conda_store_hub.core.protocol import Package

        return plan_layers([Package(**PYTHON)])[0].key

    def good(self) -> None:
        print("hello ☃ from the builder")
        self.usable()
        self.artifacts()
        self.tell("result")

    def brings_base(self) -> None:
        """Wait for what all images have to wait for, until told to go on."""
        if self.request["prefix_ready"]:
            self.tell("aside", state="started", as_all_would=True)
            self.say_hanging(str(os.getpid()))
            self.wait_for_go()
            self.tell("aside", state="finished")
        self.good()

    def loses_layer(self) -> None:
        """Have layers vanish, each right before it is told of."""
        if self.request["prefix_ready"]:
            for layer in self.request["image"]["known"].values():
                digest = layer["digest"].removeprefix("sha256:")
                (self.work.parents[1] / "sha256" / digest[:2] / digest).unlink()
        self.good()

    def fails(self) -> None:
        self.tell("error", code="package-not-found", message="There is no package nosuch.", line=4, column=5)
        sys.exit(10)

    def dies(self) -> None:
        print("last words", flush=True)
        os._exit(3)

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def crashes_after_success(self) -> None:
        self.good()
        os.kill(os.getpid(), signal.SIGSEGV)

    def half_prefix(self) -> None:
        self.prefix.mkdir()
        (self.prefix / "half").touch()
        os._exit(1)

    def hangs(self) -> None:
        self.say_hanging(str(os.getpid()))
        time.sleep(600)

    def usable_when_asked(self) -> None:
        self.prefix.mkdir()
        (self.work.parent / "hanging").touch()
        self.wait_for_go()
        self.tell("usable", packages=[], kernels=[], size=10, shared_size=20)
        self.artifacts()
        self.tell("result")

    def ignores_term(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
        self.say_hanging(f"{os.getpid()} {child.pid}")
        time.sleep(600)

    def closes_events(self) -> None:
        self.events.close()
        self.hangs()

    def leaves_others(self) -> None:
        """End well, while a child of the group and one that left it hold all pipes."""
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        pipe = self.events.fileno()
        left = [subprocess.Popen(command, pass_fds=[pipe], start_new_session=alone) for alone in (False, True)]
        (self.work.parent / "left").write_text(" ".join(str(child.pid) for child in left))
        self.good()

    def limited(self) -> None:
        """Be good once, and then too large in the middle of the install."""
        if not (self.work.parent / "built").exists():
            (self.work.parent / "built").touch()
            self.good()
            return
        self.prefix.mkdir()
        (self.prefix / "half").touch()
        self.tell("phase", name="install", state="started")
        self.tell("error", code="limit-exceeded", message="The environment is larger than 1.0 MB, its limit.")
        sys.exit(10)

    def say_hanging(self, pids: str) -> None:
        """Write who hangs; a test that sees the file reads the whole of it."""
        part = self.work.parent / "hanging.part"
        part.write_text(pids)
        part.replace(self.work.parent / "hanging")

    def wait_for_go(self) -> None:
        while not (self.work.parent / "go").exists():
            time.sleep(0.01)

    def fill(self, path: Path) -> None:
        """Leave no byte on the disk."""
        with path.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 12)):
                continue

    def fills_with_prefix(self) -> None:
        self.prefix.mkdir()
        self.fill(self.prefix / "half")
        self.tell("error", code="disk-full", message="The disk filled up during the build.")
        sys.exit(10)

    def fills_with_archive(self) -> None:
        self.usable()
        self.wait_for_go()
        self.fill(self.work / "half.tar.gz")
        self.tell("artifact", artifact="CONDA_PACK", error="The disk is full.")
        self.tell("result")

    def escapes(self) -> None:
        self.usable()
        self.tell("artifact", artifact="YAML", path="/etc/passwd", sha256="0" * 64, size=1)
        self.tell("result")

    def also_good(self) -> None:
        self.good()

    def image_escapes(self) -> None:
        """Be good, and tell of a blob that is a file of somebody else."""
        self.usable()
        if self.request["prefix_ready"]:
            self.tell("blob", path="/etc/passwd", digest=f"sha256:{'0' * 64}", size=1)
        self.tell("result")

    def artifact_fails(self) -> None:
        self.usable()
        self.tell("artifact", artifact="CONDA_PACK", error="It would not pack.")
        self.tell("result")

    def dies_later(self) -> None:
        """Be good, and die when asked for more."""
        if self.request["prefix_ready"]:
            os._exit(3)
        self.good()

    def forgets(self) -> None:
        """Be good, and say nothing of what is asked for later."""
        if self.request["prefix_ready"]:
            self.tell("result")
        else:
            self.good()

    def writes_in_two_parts(self) -> None:
        """Be good, and write what is asked for later in two parts."""
        if self.request["prefix_ready"]:
            (self.work / "environment.tar.gz").write_text("the first half")
            (self.work.parent / "half").touch()
            self.wait_for_go()
        self.good()

    def talks_nonsense(self) -> None:
        self.events.write("not json\n" + '{"type": "unknown"}\n')
        self.good()

    def floods(self) -> None:
        line = "☃" * 99 + "\n"
        for _ in range(20_000):
            sys.stdout.write(line)
        self.good()

    def slow_artifacts(self) -> None:
        self.usable()
        if not self.request["prefix_ready"]:
            self.hangs()
        self.artifacts()
        self.tell("result")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events-fd", type=int)
    parser.add_argument("--parent", type=int)
    script = Script(json.load(sys.stdin), parser.parse_args().events_fd)
    getattr(script, script.request["name"].replace("-", "_"))()


main()
