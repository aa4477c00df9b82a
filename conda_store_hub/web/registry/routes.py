"""The addresses of the registry, which stand beside those of the service: at the root of the host."""

from __future__ import annotations

from conda_store_hub.web.registry import access, content, discovery
from conda_store_hub.web.registry.base import ROOT, RegistryHandler

RULES: tuple[tuple[str, type[RegistryHandler]], ...] = (
    (f"{ROOT}?", access.SupportHandler),
    (f"{ROOT}token", access.TokenHandler),
    (f"{ROOT}_catalog", discovery.CatalogHandler),
    (rf"{ROOT}.+/blobs/uploads(?:/.*)?", access.UploadHandler),
    (rf"{ROOT}(.+)/manifests/([^/]+)", content.ManifestHandler),
    (rf"{ROOT}(.+)/blobs/([^/]+)", content.BlobHandler),
    (rf"{ROOT}(.+)/tags/list", discovery.TagsHandler),
    (rf"{ROOT}(.+)/referrers/([^/]+)", discovery.ReferrersHandler),
    (rf"{ROOT}(?:.*)", access.NothingHandler),
)
"""Pattern and handler, the first that fits."""

NAMES: tuple[tuple[str, type[RegistryHandler]], ...] = (
    ("v2/", access.SupportHandler),
    ("v2/token", access.TokenHandler),
    ("v2/_catalog", discovery.CatalogHandler),
    ("v2/{name}/manifests/{reference}", content.ManifestHandler),
    ("v2/{name}/blobs/{digest}", content.BlobHandler),
    ("v2/{name}/tags/list", discovery.TagsHandler),
    ("v2/{name}/referrers/{digest}", discovery.ReferrersHandler),
)
"""What addresses are called in metrics."""
