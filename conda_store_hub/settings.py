"""`c.CondaStore`: what an administrator sets for the whole service, by the names the seed gave them."""

from __future__ import annotations

import platform
from pathlib import Path
from urllib.parse import urlsplit

from traitlets import Bool, Int, List, TraitError, Unicode, default, validate
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services.rules import BuildRules


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

    conda_max_solve_time = Int(300, min=1, help="Seconds that one solve may take.").tag(config=True)

    pypi_index = Unicode(help="Index of the pip part; empty means the installer's default.").tag(config=True)

    build_artifacts = List(
        Unicode(),
        default_value=["LOCKFILE", "YAML", "CONDA_PACK"],
        help="What a build yields beside its prefix and its log, once the prefix is usable.",
    ).tag(config=True)

    build_artifacts_kept_on_deletion = List(
        Unicode(),
        default_value=["LOGS", "LOCKFILE", "YAML"],
        help="What stays of a build whose prefix was deleted; with the lockfile it can be made once more.",
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
        known = [str(item) for item in (ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK)]
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

    @property
    def data(self) -> DataDirectory:
        """The data directory as an absolute path."""
        return DataDirectory(Path(self.store_directory).expanduser().absolute())

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data.database}"

    def build_rules(self, refusal: str | None) -> BuildRules:
        """Return what the services hold builds against; `refusal` says why this service builds nothing."""
        return BuildRules(
            channel_alias=self.conda_channel_alias,
            default_channels=tuple(self.conda_default_channels),
            allowed_channels=tuple(self._address(channel) for channel in self.conda_allowed_channels),
            platform=current_platform(),
            artifacts=tuple(ArtifactType(name) for name in self.build_artifacts),
            pip_index=self.pypi_index or None,
            solve_seconds=self.conda_max_solve_time,
            kept_artifacts=tuple(ArtifactType(name) for name in self.build_artifacts_kept_on_deletion),
            refusal=refusal,
        )

    def _address(self, channel: str) -> str:
        return channel if "://" in channel else f"{self.conda_channel_alias}/{channel}"


def current_platform() -> str:
    """Return the conda platform of this machine (conda's subdir names)."""
    machine = {"x86_64": "64", "amd64": "64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    return f"linux-{machine}"
