"""How a container starts: packages set what they need, and none of them keeps it from starting."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conda_store_hub.builder.image_start import SCRIPT, Start
from conda_store_hub.builder.oci_layout import BaseImage
from conda_store_hub.core.oci import IMAGE_PREFIX, Execution, ImageConfig, Layer, RootFs

SCRIPTS = {
    "a-good.sh": "export GOOD=1\nfalse\n",
    "b-of-bash.sh": "words=(one two)\nexport SECOND=${words[1]}\n",
    "c-ends.sh": "exit 3\n",
    "d-substitutes.sh": "export UPPER=a\nUPPER=${UPPER^^}\n",
    "e-last.sh": "export LAST=1\n",
}


@pytest.mark.parametrize("has_bash", [False, True])
def test_a_script_that_the_shell_cannot_run_is_left_out_and_said(tmp_path: Path, has_bash: bool) -> None:
    folder = tmp_path / "etc" / "conda" / "activate.d"
    folder.mkdir(parents=True)
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    enter = tmp_path / "enter"
    enter.write_text(SCRIPT.replace(IMAGE_PREFIX, str(tmp_path)))
    tools = tmp_path / "bin"
    tools.mkdir()
    if has_bash:
        (tools / "bash").symlink_to("/bin/bash")
    command = ["/bin/dash", enter, "/bin/sh", "-c", 'echo "$1 $GOOD $SECOND $UPPER $LAST"', "-", "a  b"]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=True)
    assert done.stdout == ("a  b 1 two A 1\n" if has_bash else "a  b 1   1\n")
    left_out = [name for name in SCRIPTS if name in done.stderr]
    assert left_out == (["c-ends.sh"] if has_bash else ["b-of-bash.sh", "c-ends.sh", "d-substitutes.sh"])


@pytest.mark.parametrize(
    ("own", "base", "shell", "command"),
    [
        ("bin/bash", None, "/opt/conda/bin/bash", ("/opt/conda/bin/bash",)),
        ("bin/python", None, "", ("/opt/conda/bin/python",)),
        ("", None, "", None),
        ("bin/python", Execution(), "/bin/sh", ("/bin/sh",)),
        ("bin/sh", Execution(), "/opt/conda/bin/sh", ("/opt/conda/bin/sh",)),
        ("", Execution(entrypoint=("/init",)), "/bin/sh", None),
        ("bin/bash", Execution(cmd=("/serve",)), "/opt/conda/bin/bash", ("/serve",)),
        ("bin/python", Execution(user="nobody"), "", ("/opt/conda/bin/python",)),
    ],
)
def test_a_container_starts_with_a_shell_that_is_there(
    tmp_path: Path, own: str, base: Execution | None, shell: str, command: tuple[str, ...] | None
) -> None:
    for name in (own, "etc/conda/activate.d/a.sh"):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    layer = Layer(digest="sha256:a", size=1, diff_id="sha256:b")
    config = ImageConfig(architecture="amd64", config=base, rootfs=RootFs(diff_ids=()))
    image = BaseImage(layers=() if base is None else (layer,), config=config, blobs=tmp_path)
    has_shell = base is not None and base.user is None
    start = Start(tmp_path, image, "/bin/sh" if has_shell else "")
    run = start.describe((), ())
    assert start.script.partition("\n")[0] == (f"#!{shell}" if shell else "")
    assert (f"{IMAGE_PREFIX}/etc/conda-store-hub/enter" in (run.entrypoint or ())) is bool(shell)
    assert run.cmd == command
    assert [("are not run" in note) for note in start.notes] == ([not shell] if base is None or not shell else [])
