"""Files that pages load: ours, and those of the Hub's look, under our own address."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from jupyterhub._data import DATA_FILES_PATH
from tornado.web import StaticFileHandler

from conda_store_hub.core.errors import CondaStoreHubError, NotFoundError
from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.failures import as_error

TEMPLATES = Path(__file__).parent / "templates"
FILES = Path(__file__).parent / "static"
HUB_FILES = Path(DATA_FILES_PATH) / "static"

# Of the Hub's, these and no others; its style imports the two of Font Awesome.
_OF_THE_HUB = frozenset(
    {
        "css/style.min.css",
        "components/@fortawesome/fontawesome-free/css/fontawesome.css",
        "components/@fortawesome/fontawesome-free/css/solid.css",
        "components/@fortawesome/fontawesome-free/webfonts/fa-solid-900.woff2",
        "components/bootstrap/dist/js/bootstrap.bundle.min.js",
        "favicon.ico",
        "images/jupyterhub-80.png",
        "js/darkmode.js",
    }
)


#: The logo that a Hub shows unless somebody has configured another one.
HUB_LOGO = "hub/images/jupyterhub-80.png"


def url(prefix: str, path: str) -> str:
    """Return the address of a file, with its content's digest: browsers keep it until it changes."""
    return f"{prefix}static/{path}?v={_digest(path)}"


def read(path: str) -> bytes:
    """Return a file that pages load."""
    file = HUB_FILES / path.removeprefix("hub/") if path.startswith("hub/") else FILES / path
    return file.read_bytes()


def is_there(path: str) -> bool:
    """Tell whether there is a file of ours that may not have been built."""
    return (FILES / path).is_file()


@functools.cache
def _digest(path: str) -> str:
    return hashlib.sha256(read(path)).hexdigest()[:12]


class FileHandler(BaseHandler, StaticFileHandler):
    """Files of ours, for everybody."""

    def parse_url_path(self, url_path: str) -> str:
        """Let pass only what a file can be named."""
        if "\0" in url_path:
            raise as_error(NotFoundError.status, None)
        return super().parse_url_path(url_path)

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep what carries its digest; what styles and scripts import carries none.

        Modules are asked for anew each time: after an upgrade, old ones beside new ones would break a page.
        """
        versioned = self.get_query_argument("v", "") != ""
        otherwise = "no-cache" if path.endswith(".js") else "public, max-age=600"
        self.set_header("Cache-Control", "public, max-age=31536000, immutable" if versioned else otherwise)

    def compute_etag(self) -> str | None:
        """Give the file's."""
        return StaticFileHandler.compute_etag(self)

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Say it in one line."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        return f"{error.public_message}\n"


class HubFileHandler(FileHandler):
    """Those files of the Hub's that our pages load."""

    def parse_url_path(self, url_path: str) -> str:
        """Let pass only what is on the list."""
        if url_path not in _OF_THE_HUB:
            raise as_error(NotFoundError.status, None)
        return super().parse_url_path(url_path)


class LogoHandler(BaseHandler):
    """The logo of the site, for everybody."""

    def get(self) -> None:
        """Send it; its address carries its digest."""
        logo = self.services.pages.logo
        if logo is None:
            raise NotFoundError("This site has no logo of its own.")
        self.set_header("Content-Type", logo.kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(logo.data)

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Say it in one line."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        return f"{error.public_message}\n"
