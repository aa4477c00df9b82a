"""`c.CondaStore`: what an administrator sets for the whole service, by the names the seed gave them."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from traitlets import Bool, Callable, Dict, Int, List, TraitError, Unicode, Union, default, validate
from traitlets.config import LoggingConfigurable
from traitlets.utils.importstring import import_item

from conda_store_hub.core.errors import ConfigurationError, InvalidNameError, InvalidRequestError
from conda_store_hub.core.layers import Layer, merge
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.policy import PYPI, PolicyValues, Scope, read_values
from conda_store_hub.core.protocol import MADE_OF_PREFIXES, ArtifactType
from conda_store_hub.core.references import ImageReference
from conda_store_hub.services.rules import BuildRules, Hook, OnDemandRules

#: Which trait gives which key of a policy.
_POLICY_TRAITS = {
    "conda_default_channels": "default_channels",
    "conda_allowed_channels": "allowed_channels",
    "conda_channel_aliases": "channel_aliases",
    "conda_required_packages": "required_packages",
    "conda_included_packages": "included_packages",
    "conda_default_packages": "default_packages",
    "conda_forbidden_packages": "forbidden_packages",
    "pypi_allowed": "pip_allowed",
    "conda_max_solve_time": "solve_seconds",
    "build_memory": "memory_bytes",
    "build_disk": "disk_bytes",
    "build_files": "file_count",
    "quota_builds": "quota_builds",
    "quota_bytes": "quota_bytes",
    "keep_builds": "keep_builds",
    "keep_days": "keep_days",
    "build_artifacts": "artifacts",
}


class CondaStore(LoggingConfigurable):
    """Where things are kept, and which channels and artifacts builds have."""

    store_directory = Unicode(
        help="""Directory of the package cache, the prefixes, the artifacts and the database. Users' servers must see
        the same path if their kernels are to run from it. At most about 50 characters: shebang lines are short.""",
    ).tag(config=True)

    database_url = Unicode(help="SQLAlchemy URL of the database; empty means a SQLite file in `store_directory`.").tag(
        config=True
    )

    publish_links = Bool(
        default_value=False,
        help="Let every account of the machine list the links to active prefixes (`envs/` is 0755, not 0700).",
    ).tag(config=True)

    conda_channel_alias = Unicode(
        "https://conda.anaconda.org", help="Address under which a channel named without one is looked for."
    ).tag(config=True)

    conda_default_channels = List(
        Unicode(), default_value=["conda-forge"], help="Channels of a specification that names none."
    ).tag(config=True)

    conda_allowed_channels = List(
        Unicode(),
        help="Names or addresses that channels must equal or stand under; empty means all under the alias.",
    ).tag(config=True)

    conda_channel_aliases = Dict(
        key_trait=Unicode(), value_trait=Unicode(), help="Addresses of channels that have a name of their own here."
    ).tag(config=True)

    conda_required_packages = List(Unicode(), help="Packages that every specification has to name.").tag(config=True)

    conda_included_packages = List(Unicode(), help="Packages that are added to every environment.").tag(config=True)

    conda_default_packages = List(Unicode(), help="Packages of a specification that names none.").tag(config=True)

    conda_forbidden_packages = List(
        Unicode(), help="Packages, or versions of them, that no environment may have: `numpy`, `numpy<2`."
    ).tag(config=True)

    conda_max_solve_time = Int(300, min=1, help="Seconds that one solve may take.").tag(config=True)

    pypi_allowed = Bool(default_value=True, help="Whether a specification may have a pip part.").tag(config=True)

    pypi_index = Unicode(help="Index of the pip part; empty means the installer's default.").tag(config=True)

    pypi_allowed_indexes = List(
        Unicode(), help="Further indexes that a pip part may ask for with a line `--index-url ADDRESS`."
    ).tag(config=True)

    build_memory = Int(None, allow_none=True, help="Bytes of memory that a build may use.").tag(config=True)

    build_disk = Int(None, allow_none=True, help="Bytes that an environment may have on disk.").tag(config=True)

    build_files = Int(None, allow_none=True, help="Files that an environment may have.").tag(config=True)

    quota_builds = Int(None, allow_none=True, help="Builds that a namespace may have.").tag(config=True)

    quota_bytes = Int(
        None, allow_none=True, help="Bytes that the builds of a namespace may have on disk; the last one may exceed it."
    ).tag(config=True)

    keep_builds = Int(None, allow_none=True, help="How many of an environment's newest builds are kept.").tag(
        config=True
    )

    keep_days = Int(None, allow_none=True, help="For how many days builds are kept.").tag(config=True)

    cache_days = Int(
        30,
        min=0,
        help="""Days after which packages, bytecode and indexes go from the caches if no environment has them and no
        build has used them; 0 is never.""",
    ).tag(config=True)

    validate_specification = Union(
        [Callable(), Unicode()],
        default_value="",
        help="""A function, or its dotted name, that is asked about each specification before it is queued, with one
        argument: `namespace`, `environment`, `text`, `specification` (read) and `who`. It returns None, or a sentence
        that says why not; if it raises, nothing is built and the log has the traceback.""",
    ).tag(config=True)

    build_artifacts = List(
        Unicode(),
        default_value=["LOCKFILE", "YAML", "CONDA_PACK"],
        help="What a build yields beside prefix and log, once it is usable; what is not named is made on request.",
    ).tag(config=True)

    build_artifacts_kept_on_deletion = List(
        Unicode(),
        default_value=["LOGS", "LOCKFILE", "YAML"],
        help="What stays of a build whose prefix was deleted; with the lockfile it can be made once more.",
    ).tag(config=True)

    watch_paths = List(
        Unicode(),
        help="""Absolute paths of directories, or of single files, whose `*.yaml` and `*.yml` become the environments of
        the namespace `filesystem` and follow them: changed, brought back, deleted.""",
    ).tag(config=True)

    image_base = Unicode(
        "docker.io/library/debian:stable-slim",
        help="""The image that environments are put on when they become container images, one that has a C library and
        a shell: in a registry (`HOST/NAME:TAG` or `HOST/NAME@sha256:…`; `http://` in front where it has no TLS), or the
        absolute path of an OCI image layout or of what `docker save` wrote. Empty: on nothing.""",
    ).tag(config=True)

    image_base_credentials = Unicode(
        help="""Absolute path of a file that says how to log in to the registry of `image_base`, as `docker login`,
        `podman login` and `skopeo login` write it; empty means `~/.docker/config.json`, if that is there.""",
    ).tag(config=True)

    on_demand_fresh_days = Int(
        7,
        min=1,
        help="""Days after which an image on demand is solved and built anew when it is pulled; the old one is given out
        meanwhile.""",
    ).tag(config=True)

    on_demand_kept_days = Int(
        30,
        min=0,
        help="Days for which an image on demand is kept that nobody pulls. 0: this service makes none on demand.",
    ).tag(config=True)

    @default("store_directory")
    def _default_store_directory(self) -> str:
        return str(Path.home() / ".local" / "share" / "conda-store-hub")

    @validate("conda_channel_alias")
    def _check_alias(self, proposal: dict[str, str]) -> str:
        alias = proposal["value"].rstrip("/")
        if urlsplit(alias).scheme not in ("http", "https"):
            raise TraitError("conda_channel_alias is an http(s) address.")
        return alias

    @validate("build_artifacts")
    def _check_artifacts(self, proposal: dict[str, list[str]]) -> list[str]:
        known = [str(item) for item in MADE_OF_PREFIXES]
        for name in proposal["value"]:
            if name not in known:
                raise TraitError(f"build_artifacts: “{name}” is none of {', '.join(known)}.")
        return proposal["value"]

    @validate("build_artifacts_kept_on_deletion")
    def _check_kept(self, proposal: dict[str, list[str]]) -> list[str]:
        for name in proposal["value"]:
            if name not in list(ArtifactType):
                raise TraitError(f"build_artifacts_kept_on_deletion: “{name}” is none of {', '.join(ArtifactType)}.")
        return proposal["value"]

    @validate("watch_paths")
    def _check_watch_paths(self, proposal: dict[str, list[str]]) -> list[str]:
        paths = [Path(os.path.normpath(path)) for path in proposal["value"]]
        for path in paths:
            if not path.is_absolute():
                raise TraitError(f"watch_paths: “{path}” is not an absolute path.")
        real = sorted(path.resolve() for path in paths)
        for path in real:
            if sum(path.is_relative_to(other) for other in real) > 1:
                raise TraitError(f"watch_paths: “{path}” is the same as another path there, or lies in one.")
        return [str(path) for path in paths]

    @property
    def data(self) -> DataDirectory:
        """The data directory as an absolute path."""
        return DataDirectory(Path(self.store_directory).expanduser().absolute())

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data.database}"

    def build_rules(self, refusal: str | None, *, build_seconds: int = 7200) -> BuildRules:
        """Return what the services hold builds against; `refusal` says why this service builds nothing.

        Raises ConfigurationError with the name of the trait that cannot be.
        """
        layer = Layer(scope=Scope.CONFIGURATION, values=self._read_policy(build_seconds))
        return BuildRules(
            policy=merge((layer,), channel_alias=self.conda_channel_alias),
            platform=current_platform(),
            hook=self._load_hook(),
            kept_artifacts=tuple(ArtifactType(name) for name in self.build_artifacts_kept_on_deletion),
            image_base=self._find_base(),
            image_credentials=self._find_credentials(),
            on_demand=OnDemandRules(fresh_days=self.on_demand_fresh_days, kept_days=self.on_demand_kept_days),
            refusal=refusal,
        )

    def _find_base(self) -> str:
        base = self.image_base
        if base.startswith("/"):
            path = Path(base)
            if not path.is_file() and not ((path / "oci-layout").is_file() and (path / "index.json").is_file()):
                raise ConfigurationError(
                    f"c.CondaStore.image_base: there is no OCI image layout, and no archive of an image, at “{base}”."
                )
        elif base:
            try:
                ImageReference.parse(base)
            except InvalidNameError as exc:
                raise ConfigurationError(f"c.CondaStore.image_base: {exc.message}") from exc
        return base

    def _find_credentials(self) -> str:
        if not self.image_base_credentials:
            usual = Path.home() / ".docker" / "config.json"
            return str(usual) if os.access(usual, os.R_OK) else ""
        path = Path(self.image_base_credentials)
        if not path.is_absolute() or not os.access(path, os.R_OK):
            raise ConfigurationError(
                f"c.CondaStore.image_base_credentials: “{path}” is no absolute path of a file that can be read."
            )
        return str(path)

    def _read_policy(self, build_seconds: int) -> PolicyValues:
        given = {key: getattr(self, trait) for trait, key in _POLICY_TRAITS.items()}
        indexes = dict.fromkeys([self.pypi_index or PYPI, *self.pypi_allowed_indexes])
        given |= {"pip_indexes": list(indexes), "build_seconds": build_seconds}
        # An empty list of channels is conda-store's way to say that there is no such list.
        given["allowed_channels"] = self.conda_allowed_channels or None
        wanted = {key: value for key, value in given.items() if value is not None}
        try:
            return _keep_set(read_values(wanted))
        except InvalidRequestError as exc:
            traits = {f"`{key}`": f"`c.CondaStore.{trait}`" for trait, key in _POLICY_TRAITS.items()}
            traits |= {
                "`pip_indexes`": "`c.CondaStore.pypi_index` or `pypi_allowed_indexes`",
                "`build_seconds`": "`c.LocalExecutor.build_seconds`",
            }
            key, rest = exc.message.split(" ", 1)
            raise ConfigurationError(f"{traits.get(key, key)} {rest}") from exc

    def _load_hook(self) -> Hook | None:
        hook = self.validate_specification
        if callable(hook):
            return cast("Hook", hook)
        if not hook:
            return None
        try:
            found = import_item(str(hook))
        except (ImportError, ValueError) as exc:
            raise ConfigurationError(f"c.CondaStore.validate_specification: “{hook}” cannot be imported.") from exc
        if not callable(found):
            raise ConfigurationError(f"c.CondaStore.validate_specification: “{hook}” is no function.")
        return cast("Hook", found)


def _keep_set(values: PolicyValues) -> PolicyValues:
    """Leave out what is as it would be anyway: that comes from nobody's configuration."""
    usual = PolicyValues.model_validate({})
    fields = {name for name in values.model_fields_set if getattr(values, name) != getattr(usual, name)}
    return PolicyValues.model_construct(fields, **dict(values))


def current_platform() -> str:
    """Return the conda platform of this machine (conda's subdir names)."""
    machine = {"x86_64": "64", "amd64": "64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    return f"linux-{machine}"
