"""Wheels, resolved and unpacked by uv, as conda packages."""

from __future__ import annotations

import base64
import email.message
import email.parser
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from csv import reader, writer
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from os.path import normpath
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from conda_store_hub.core.errors import ConfigurationError, InvalidRequestError, UnavailableError
from conda_store_hub.demo.interpreter import SITE_PACKAGES, get_subdir
from conda_store_hub.demo.packages import DEFAULT_TIMESTAMP, PREFIX_PLACEHOLDER, Package, PackageFile, hash_content

_MINOR = sys.version_info.minor
_THIS_PYTHON = f"python >=3.{_MINOR},<3.{_MINOR + 1}.0a0"
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_PYTHONS = range(11, 16)  # those this project may meet
_SHEBANG = re.compile(rb"\A#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*python[^\n]*)\n")
_REPLACED_METADATA = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json")
_NO_SOLUTION = 1  # uv's exit code; 2 is a wrong use, or a network that does not answer


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wheel:
    """One installed distribution: its metadata, and the files that its RECORD names, by their path in a prefix."""

    metadata: email.message.Message
    pure: bool
    entry_points: Sequence[str]
    files: Mapping[str, Path]
    dist_info: str
    timestamp: int

    @property
    def name(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.metadata["Name"])


def make_wheel_packages(requirements: Sequence[str], staging: Path) -> list[Package]:
    """Resolve the requirements for this interpreter and return one package a wheel.

    Raises `InvalidRequestError` for a requirement that cannot be read or met, `UnavailableError` without an index.
    """
    for requirement in requirements:
        _check(requirement)
    lock = staging / "pylock.toml"
    wanted = staging / "requirements.txt"
    wanted.write_text("".join(f"{requirement}\n" for requirement in requirements))
    _run_uv("pip", "compile", wanted, "--format", "pylock.toml", "--no-header", "-o", lock)
    _run_uv("pip", "install", "-r", lock, "--no-deps", "--prefix", staging / "prefix")
    wheels = _read_prefix(staging / "prefix", _read_upload_times(lock))
    return [_make_package(wheel, wheels) for wheel in wheels.values()]


def format_specifiers(specifiers: SpecifierSet) -> str:
    """Return PEP 440 specifiers in conda's words: `~=1.4.2` becomes `>=1.4.2,1.4.*`; nothing becomes `""`."""
    ordered = sorted(specifiers, key=lambda each: (each.operator not in {">=", ">", "~="}, str(each)))
    return ",".join(_format_specifier(each) for each in ordered)


def _format_specifier(specifier: Specifier) -> str:
    operator, version = specifier.operator, specifier.version
    if operator == "~=":
        return f">={version},{version.rpartition('.')[0]}.*"
    if operator == "==" and version.endswith(".*"):
        return version
    return f"{operator[:2]}{version}"


def list_depends(wheel: _Wheel, wheels: Mapping[str, _Wheel]) -> list[str]:
    """Return what the wheel needs here, in conda's words; extras stand for the packages they name."""
    found = dict.fromkeys(_list_required(wheel, wheels, "", {wheel.name}))
    if not wheel.pure or _differs_between_pythons(wheel):
        return [_THIS_PYTHON, *sorted(found)]
    python = format_specifiers(SpecifierSet(wheel.metadata.get("Requires-Python") or ""))
    return [f"python {python}".strip(), *sorted(found)]


def _differs_between_pythons(wheel: _Wheel) -> bool:
    """Tell whether another Python would need other packages: conda's `depends` holds no conditions."""
    for text in wheel.metadata.get_all("Requires-Dist") or []:
        marker = Requirement(text).marker
        answers = {
            marker.evaluate({"extra": "", "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9"})
            for minor in _PYTHONS
            if marker
        }
        if len(answers) > 1:
            return True
    return False


def _list_required(wheel: _Wheel, wheels: Mapping[str, _Wheel], extra: str, seen: set[str]) -> Iterator[str]:
    for text in wheel.metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if not _applies(requirement, extra):
            continue
        if name != wheel.name:
            yield f"{name} {format_specifiers(requirement.specifier)}".strip()
        for wanted in sorted(requirement.extras):
            if name in wheels and f"{name}[{wanted}]" not in seen:
                seen.add(f"{name}[{wanted}]")
                yield from _list_required(wheels[name], wheels, wanted, seen)


def _applies(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if extra:
        return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
    return marker is None or marker.evaluate({"extra": ""})


def _check(requirement: str) -> None:
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as exc:
        raise InvalidRequestError(f"Not a requirement: {requirement}", detail=str(exc)) from exc
    if parsed.url:
        raise InvalidRequestError(f"A requirement of the sample channel has a name and versions: {requirement}")


def _run_uv(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "uv", *arguments, "--python", sys.executable, "--only-binary", ":all:", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named uv" in done.stderr:
        raise ConfigurationError("The sample channel needs uv: pip install uv")
    error = InvalidRequestError if done.returncode == _NO_SOLUTION else UnavailableError
    raise error("The wheels of the sample channel cannot be had.", detail=done.stderr.strip())


def _read_upload_times(lock: Path) -> dict[str, int]:
    """Return milliseconds by name; an index need not tell them."""
    times: dict[str, int] = {}
    for package in tomllib.loads(lock.read_text())["packages"]:
        uploaded = [wheel.get("upload-time") for wheel in package.get("wheels", [])]
        known = [int(time.timestamp()) * 1000 for time in uploaded if isinstance(time, datetime)]
        times[canonicalize_name(package["name"])] = max(known, default=DEFAULT_TIMESTAMP)
    return times


def _read_prefix(prefix: Path, times: Mapping[str, int]) -> dict[str, _Wheel]:
    wheels = [_read_wheel(folder, prefix, times) for folder in sorted(prefix.glob("lib*/*/*-packages/*.dist-info"))]
    return {wheel.name: wheel for wheel in wheels}


def _read_wheel(dist_info: Path, prefix: Path, times: Mapping[str, int]) -> _Wheel:
    parser = email.parser.Parser()
    metadata = parser.parsestr((dist_info / "METADATA").read_text(encoding="utf-8"))
    tags = parser.parsestr((dist_info / "WHEEL").read_text(encoding="utf-8"))
    rows = reader(StringIO((dist_info / "RECORD").read_text(encoding="utf-8")))
    site = dist_info.parent
    files: dict[str, Path] = {}
    for name in (row[0] for row in rows if row and not row[0].endswith(".pyc")):
        path = Path(normpath(site / name))
        files[_place(path, site, prefix)] = path
    return _Wheel(
        metadata=metadata,
        pure=tags.get("Root-Is-Purelib", "true").lower() == "true",
        entry_points=_read_entry_points(dist_info / "entry_points.txt"),
        files=files,
        dist_info=f"site-packages/{dist_info.name}",
        timestamp=times.get(canonicalize_name(metadata["Name"]), DEFAULT_TIMESTAMP),
    )


def _place(path: Path, site: Path, prefix: Path) -> str:
    inside = path.is_relative_to(site)
    return f"site-packages/{path.relative_to(site).as_posix()}" if inside else path.relative_to(prefix).as_posix()


def _read_entry_points(path: Path) -> list[str]:
    if not path.is_file():
        return []
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    sections = [dict(parser[name]) for name in ("console_scripts", "gui_scripts") if parser.has_section(name)]
    return [
        f"{command} = {target.partition('[')[0].strip()}" for section in sections for command, target in section.items()
    ]


def _make_package(wheel: _Wheel, wheels: Mapping[str, _Wheel]) -> Package:
    licenses = f"{wheel.dist_info}/licenses/"
    package = Package(
        name=wheel.name,
        version=wheel.metadata["Version"],
        subdir="noarch" if wheel.pure else get_subdir(),
        python=wheel.pure,
        depends=list_depends(wheel, wheels),
        timestamp=wheel.timestamp,
        license=_find_license(wheel.metadata),
        about=_describe(wheel.metadata),
        entry_points=wheel.entry_points if wheel.pure else (),
        files=list(_list_files(wheel)),
        license_files=[
            PackageFile(path=f"info/licenses/{name.removeprefix(licenses)}", content=path)
            for name, path in wheel.files.items()
            if name.startswith(licenses)
        ],
    )
    digest = hash_content(package)
    return replace(package, build=f"pyh{digest}_0" if wheel.pure else f"py3{_MINOR}h{digest}_0")


def _list_files(wheel: _Wheel) -> Iterator[PackageFile]:
    library = "site-packages" if wheel.pure else SITE_PACKAGES
    commands = [entry.partition(" = ")[0] for entry in wheel.entry_points]
    replaced = {f"{wheel.dist_info}/{name}" for name in _REPLACED_METADATA} | {f"bin/{name}" for name in commands}
    files = [_convert(name, path, wheel.pure) for name, path in wheel.files.items() if name not in replaced]
    if not wheel.pure:
        files += [_make_command(entry) for entry in wheel.entry_points]
    dist_info = wheel.dist_info.replace("site-packages", library, 1)
    files.append(PackageFile(path=f"{dist_info}/INSTALLER", content=b"conda\n"))
    yield from files
    scripts = [f"bin/{name}" for name in commands] if wheel.pure else []
    yield PackageFile(path=f"{dist_info}/RECORD", content=_make_record(files, library, scripts, dist_info))


def _convert(name: str, path: Path, pure: bool) -> PackageFile:
    executable = os.access(path, os.X_OK)
    if name.startswith("site-packages/"):
        target = name if pure else name.replace("site-packages", SITE_PACKAGES, 1)
        return PackageFile(path=target, content=path, executable=executable)
    if name.startswith("bin/"):
        target = name.replace("bin", "python-scripts", 1) if pure else name
        content = path.read_bytes()
        if not _SHEBANG.match(content):
            return PackageFile(path=target, content=path, executable=True)
        content = _SHEBANG.sub(f"#!{PREFIX_PLACEHOLDER}/bin/python\n".encode(), content)
        return PackageFile(path=target, content=content, executable=True, has_prefix=True)
    if name.startswith("share/jupyter/kernels/") and name.endswith("/kernel.json"):
        return _point_kernel_at_prefix(name, path)
    return PackageFile(path=name, content=path, executable=executable)


def _point_kernel_at_prefix(name: str, path: Path) -> PackageFile:
    """Name the prefix's Python in full, as conda-forge's ipykernel does: `python` is whatever is on PATH."""
    kernel = json.loads(path.read_bytes())
    if kernel["argv"][0] not in {"python", "python3"}:
        return PackageFile(path=name, content=path)
    kernel["argv"][0] = f"{PREFIX_PLACEHOLDER}/bin/python"
    return PackageFile(path=name, content=json.dumps(kernel, indent=1).encode(), has_prefix=True)


def _make_command(entry: str) -> PackageFile:
    command, _, target = entry.partition(" = ")
    module, _, function = target.partition(":")
    lines = [
        f"#!{PREFIX_PLACEHOLDER}/bin/python",
        "import sys",
        f"from {module} import {function.partition('.')[0]}",
        'if __name__ == "__main__":',
        f"    sys.exit({function}())",
        "",
    ]
    return PackageFile(path=f"bin/{command}", content="\n".join(lines).encode(), executable=True, has_prefix=True)


def _make_record(files: Sequence[PackageFile], library: str, scripts: Sequence[str], dist_info: str) -> bytes:
    """List the files as an installer does, so that pip and uv can tell what conda installed (PEP 376, PEP 627)."""
    text = StringIO()
    rows = writer(text, lineterminator="\n")
    for file in sorted(files, key=lambda file: file.path):
        name = _name_from_site_packages(file.path, library)
        rows.writerow((name, "", "") if file.has_prefix else (name, _hash_for_record(file), file.size))
    rows.writerows((_name_from_site_packages(name, library), "", "") for name in scripts)
    rows.writerow((_name_from_site_packages(f"{dist_info}/RECORD", library), "", ""))
    return text.getvalue().encode()


def _name_from_site_packages(name: str, library: str) -> str:
    if name.startswith(f"{library}/"):
        return name.removeprefix(f"{library}/")
    return "../../../" + name.replace("python-scripts/", "bin/", 1)


def _hash_for_record(file: PackageFile) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(file.read()).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def _find_license(metadata: email.message.Message) -> str | None:
    if expression := metadata.get("License-Expression"):
        return expression
    text = (metadata.get("License") or "").strip()
    classifiers = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or [] if "License ::" in text]
    # Some put the whole text of the licence into the field.
    known = [text] if text and len(text) < 60 and "\n" not in text else classifiers
    return _SPDX.get(known[0], known[0]) if known else None


def _describe(metadata: email.message.Message) -> dict[str, str]:
    links: dict[str, str] = {}
    for line in metadata.get_all("Project-URL") or []:
        label, _, address = line.partition(",")
        links[re.sub(r"[^a-z]", "", label.lower())] = address.strip()
    candidates = {
        "summary": [metadata.get("Summary")],
        "home": [metadata.get("Home-page"), *(links.get(key) for key in ("homepage", "home", "source", "repository"))],
        "doc_url": [links.get("documentation"), links.get("docs")],
        "dev_url": [links.get("source"), links.get("repository"), links.get("sourcecode")],
    }
    found = {key: next((value for value in values if value), None) for key, values in candidates.items()}
    return {key: value for key, value in found.items() if value}
