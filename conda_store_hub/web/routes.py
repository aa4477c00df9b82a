"""Every address, and the application that serves them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from conda_store_hub.core.errors import MethodNotAllowedError
from conda_store_hub.core.oauth import AUTHORIZE_PATH, METADATA_PATH, REVOKE_PATH, TOKEN_PATH
from conda_store_hub.web import (
    api_artifacts,
    api_audit,
    api_builds,
    api_description,
    api_environments,
    api_kernels,
    api_life,
    api_members,
    api_namespaces,
    api_packages,
    api_settings,
    api_specifications,
    api_tokens,
    api_watched,
    files,
    oversize,
)
from conda_store_hub.web.base import MAX_BODY, ApiNotFoundHandler, BaseHandler, Services
from conda_store_hub.web.health import HealthHandler
from conda_store_hub.web.metrics import MetricsHandler, RouteNames
from conda_store_hub.web.operations import Route
from conda_store_hub.web.page import PageNotFoundHandler
from conda_store_hub.web.pages import (
    admin,
    audit,
    authorize,
    banner,
    build,
    build_removal,
    changes,
    create,
    environment,
    environment_forms,
    guide,
    health,
    home,
    namespace,
    namespaces,
    packages,
    policy,
    preview,
    reference,
    removal,
    session,
    share,
    specification,
    user,
)
from conda_store_hub.web.registry import routes as registry
from conda_store_hub.web.registry.base import ROOT


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of what follows our prefix, and what answers there."""

    pattern: str
    target: type[RequestHandler]
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


_NAMESPACE = "api/v1/namespace/{namespace}/"
_ENVIRONMENT = "api/v1/environment/{namespace}/{name}/"
_BUILD = "api/v1/build/{build_id}/"

ROUTES = (
    Route("health", HealthHandler),
    Route("metrics", MetricsHandler),
    Route("api/v1/", api_namespaces.VersionHandler),
    Route("api/v1/openapi.json", api_description.DescriptionHandler),
    Route("api/v1/permission/", api_namespaces.PermissionHandler),
    Route("api/v1/usage/", api_namespaces.UsageHandler),
    Route("api/v1/token/", api_tokens.TokensHandler),
    Route("api/v1/token/{token_id}/", api_tokens.TokenHandler),
    Route("api/v1/audit/", api_audit.AuditHandler),
    Route("api/v1/namespace/", api_namespaces.NamespacesHandler),
    Route(_NAMESPACE, api_namespaces.NamespaceHandler),
    Route(f"{_NAMESPACE}metadata", api_namespaces.MetadataHandler),
    Route(f"{_NAMESPACE}restore/", api_namespaces.RestoreHandler),
    Route(f"{_NAMESPACE}member/", api_members.NamespaceMembersHandler),
    Route(f"{_NAMESPACE}member/{{member_id}}/", api_members.NamespaceMemberHandler),
    Route(f"{_NAMESPACE}roles", api_members.RolesHandler),
    Route(f"{_NAMESPACE}role", api_members.RoleHandler),
    Route("api/v1/environment/", api_environments.EnvironmentsHandler),
    Route("api/v2/environment/", api_environments.EnvironmentsByCursorHandler),
    Route(_ENVIRONMENT, api_environments.EnvironmentHandler),
    Route(f"{_ENVIRONMENT}environment.yaml", api_artifacts.ActiveYamlHandler),
    Route(f"{_ENVIRONMENT}conda-lock.yml", api_artifacts.ActiveLockfileHandler),
    Route(f"{_ENVIRONMENT}explicit.txt", api_artifacts.ActiveExplicitHandler),
    Route(f"{_ENVIRONMENT}pixi.lock", api_artifacts.ActivePixiLockHandler),
    Route(f"{_ENVIRONMENT}sbom.cdx.json", api_artifacts.ActiveSbomHandler),
    Route(f"{_ENVIRONMENT}environment.tar.gz", api_artifacts.ActiveArchiveHandler),
    Route(f"{_ENVIRONMENT}image.tar", api_artifacts.ActiveImageHandler),
    Route(f"{_ENVIRONMENT}restore/", api_life.EnvironmentRestoreHandler),
    Route(f"{_ENVIRONMENT}rename/", api_life.RenameHandler),
    Route(f"{_ENVIRONMENT}clone/", api_life.CloneHandler),
    Route(f"{_ENVIRONMENT}tag/", api_life.TagsHandler),
    Route(f"{_ENVIRONMENT}member/", api_members.EnvironmentMembersHandler),
    Route(f"{_ENVIRONMENT}member/{{member_id}}/", api_members.EnvironmentMemberHandler),
    Route("api/v1/setting/", api_settings.ServiceSettingsHandler),
    Route("api/v1/setting/{namespace}/", api_settings.NamespaceSettingsHandler),
    Route("api/v1/setting/{namespace}/{name}/", api_settings.EnvironmentSettingsHandler),
    Route("api/v1/specification/", api_specifications.SpecificationHandler),
    Route("api/v1/specification/solve/", api_specifications.SolveHandler),
    Route("api/v1/build/", api_builds.BuildsHandler),
    Route(_BUILD, api_builds.BuildHandler),
    Route(f"{_BUILD}packages/", api_builds.PackagesHandler),
    Route(f"{_BUILD}kernels/", api_kernels.BuildKernelsHandler),
    Route(f"{_BUILD}departed/", api_packages.DepartedHandler),
    Route(f"{_BUILD}logs/", api_builds.LogHandler),
    Route(f"{_BUILD}cancel/", api_builds.CancelHandler),
    Route(f"{_BUILD}pin/", api_life.PinHandler),
    Route(f"{_BUILD}tag/{{tag}}/", api_life.TagHandler),
    Route(f"{_BUILD}diff/{{other_id}}/", api_life.DiffHandler),
    Route(f"{_BUILD}lease/", api_life.LeaseHandler),
    Route(f"{_BUILD}artifact/", api_artifacts.ArtifactHandler),
    Route(f"{_BUILD}yaml/", api_artifacts.YamlHandler),
    Route(f"{_BUILD}environment.yaml", api_artifacts.YamlHandler, name="environment_yaml"),
    Route(f"{_BUILD}lockfile/", api_artifacts.LockfileHandler),
    Route(f"{_BUILD}conda-lock.yml", api_artifacts.LockfileHandler, name="conda_lock_yml"),
    Route(f"{_BUILD}conda-lock.yaml", api_artifacts.LockfileHandler, name="conda_lock_yaml"),
    Route(f"{_BUILD}explicit/", api_artifacts.ExplicitHandler),
    Route(f"{_BUILD}explicit.txt", api_artifacts.ExplicitHandler, name="explicit_txt"),
    Route(f"{_BUILD}pixi/", api_artifacts.PixiLockHandler),
    Route(f"{_BUILD}pixi.lock", api_artifacts.PixiLockHandler, name="pixi_lock_file"),
    Route(f"{_BUILD}sbom/", api_artifacts.SbomHandler),
    Route(f"{_BUILD}sbom.cdx.json", api_artifacts.SbomHandler, name="sbom_cdx_json"),
    Route(f"{_BUILD}archive/", api_artifacts.ArchiveHandler),
    Route(f"{_BUILD}environment.tar.gz", api_artifacts.ArchiveHandler, name="environment_tar_gz"),
    Route(f"{_BUILD}image/", api_artifacts.ImageHandler),
    Route(f"{_BUILD}image.tar", api_artifacts.ImageHandler, name="image_tar"),
    Route("api/v1/watched-file/", api_watched.WatchedFilesHandler),
    Route("api/v1/package/", api_packages.PackageSearchHandler),
    Route("api/v1/package/{package}/", api_packages.PackageBuildsHandler),
    Route("api/v1/kernels/", api_kernels.KernelsHandler),
)
"""The API: what is served, and what openapi.json and the page /docs/api/ say of it."""


def make_application(services: Services, *, prefix: str, cookie_secret: bytes) -> Application:
    """Return the application for a Hub's service at `prefix`, which begins and ends with a slash.

    `cookie_secret`: what sessions are signed with; another one ends all of them.
    """
    services.changes.listen(services.metrics.note_changes)
    application = ServiceApplication(
        default_handler_class=OutsideHandler,
        cookie_secret=cookie_secret,
        log_function=log_request,
        services=services,
        prefix=prefix,
        routes=ROUTES,
    )
    api_rules = [Rule(route.pattern, route.handler) for route in ROUTES]
    page_rules = _page_rules()
    application.settings["route_names"] = _name_routes(page_rules)
    rules = [*api_rules, Rule("api(?:/.*)?", ApiNotFoundHandler), *page_rules]
    without_slash = (re.escape(prefix.rstrip("/")) or "/", session.SlashHandler)
    anchored = [(re.escape(prefix) + rule.pattern, rule.target, rule.arguments) for rule in rules]
    application.add_handlers(".*", [*registry.RULES, *anchored, without_slash])
    return application


def _page_rules() -> list[Rule]:
    return [
        Rule("oauth_callback", session.CallbackHandler),
        Rule("login/?", session.LoginHandler),
        Rule("", home.HomeHandler),
        Rule("user/?", user.UserHandler),
        Rule("user/token/([^/]+)/?", user.TokenHandler),
        Rule(re.escape(METADATA_PATH), authorize.MetadataHandler),
        Rule(f"{AUTHORIZE_PATH}?", authorize.AuthorizeHandler),
        Rule(f"{TOKEN_PATH}?", authorize.ExchangeHandler),
        Rule(f"{REVOKE_PATH}?", authorize.RevocationHandler),
        Rule("create/?", create.CreateHandler),
        Rule("create/preview/([^/]+)/?", preview.PreviewHandler),
        Rule(r"environment/([^/]+)/([^/]+)/?", environment.EnvironmentHandler),
        Rule(r"environment/([^/]+)/([^/]+)/share/?", share.ShareHandler),
        Rule(r"environment/([^/]+)/([^/]+)/share/([^/]+)/?", share.ShareMemberHandler),
        Rule(r"environment/([^/]+)/([^/]+)/policy/?", policy.EnvironmentPolicyHandler),
        Rule(r"environment/([^/]+)/([^/]+)/rename/?", environment_forms.RenameHandler),
        Rule(r"environment/([^/]+)/([^/]+)/description/?", environment_forms.DescribeHandler),
        Rule(r"environment/([^/]+)/([^/]+)/clone/?", environment_forms.CloneHandler),
        Rule(r"environment/([^/]+)/([^/]+)/changes/?", changes.ChangesHandler),
        Rule(r"environment/([^/]+)/([^/]+)/delete/?", removal.DeleteHandler),
        Rule(r"environment/([^/]+)/([^/]+)/restore/?", removal.RestoreHandler),
        Rule(r"build/([^/]+)/?", build.BuildHandler),
        Rule(r"build/([^/]+)/packages/?", packages.PackagesHandler),
        Rule(r"build/([^/]+)/specification/?", specification.SpecificationHandler),
        Rule(r"build/([^/]+)/delete/?", build_removal.BuildRemovalHandler),
        Rule("namespace/?", namespaces.NamespacesHandler),
        Rule("namespace/([^/]+)/?", namespace.NamespaceHandler),
        Rule("namespace/([^/]+)/member/?", share.MembersHandler),
        Rule("namespace/([^/]+)/member/([^/]+)/?", share.MemberHandler),
        Rule("namespace/([^/]+)/policy/?", policy.NamespacePolicyHandler),
        Rule("namespace/([^/]+)/delete/?", namespaces.DeleteHandler),
        Rule("namespace/([^/]+)/restore/?", namespaces.RestoreHandler),
        Rule("admin/?", admin.OverviewHandler),
        Rule("admin/janitor/?", admin.JanitorHandler),
        Rule("admin/namespaces/?", admin.AllNamespacesHandler),
        Rule("admin/policy/?", policy.ServicePolicyHandler),
        Rule("admin/audit/?", audit.AuditHandler),
        Rule("admin/health/?", health.PartsHandler),
        Rule("admin/banner/?", banner.BannerHandler),
        Rule("docs/api/?", reference.ReferenceHandler),
        Rule(r"docs(?:/([^/]*))?/?", guide.GuideHandler),
        Rule("static/logo", files.LogoHandler),
        Rule("static/hub/(.*)", files.HubFileHandler, {"path": str(files.HUB_FILES)}),
        Rule("static/(.*)", files.FileHandler, {"path": str(files.FILES)}),
        Rule(".*", PageNotFoundHandler),
    ]


def _name_routes(page_rules: list[Rule]) -> RouteNames:
    """Return what routes are called in metrics: pages by how their addresses begin, and what is none by no name."""
    pages_of = (
        (re.split(r"[(?]", rule.pattern)[0], rule.target)
        for rule in page_rules
        if rule.target is not PageNotFoundHandler
    )
    return RouteNames([*((route.template, route.handler) for route in ROUTES), *registry.NAMES, *pages_of])


class ServiceApplication(Application):
    """An application that refuses a body which is or may be too large before it has read it."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Find who answers; `headers_received` comes before the body, so what is found here can refuse it."""
        found = super().find_handler(request, **kwargs)
        most = getattr(getattr(found, "handler_class", None), "max_body", MAX_BODY)
        fault = oversize.find_fault(request.headers, most)
        if isinstance(request.connection, HTTP1Connection):
            request.connection.set_max_body_size(oversize.MOST_DRAINED if fault else most)
        if fault is None:
            return found
        if request.path.startswith(ROOT):
            return self.get_handler_delegate(request, oversize.RegistryRefusal, {"error": MethodNotAllowedError()})
        is_api = request.path.startswith(f"{self.settings['prefix']}api/")
        refusal = oversize.ApiRefusal if is_api else oversize.PageRefusal
        return self.get_handler_delegate(request, refusal, {"error": fault})


class OutsideHandler(RequestHandler):
    """What is not under our prefix is not ours."""

    def prepare(self) -> None:
        """Say so."""
        self.set_status(404)
        self.finish("There is nothing here.\n")


def log_request(handler: RequestHandler) -> None:
    """Count a request, and log it without its query, which may hold what is nobody's business.

    What comes all the time is logged quietly.
    """
    request, status = handler.request, handler.get_status()
    services, names = (
        cast("Services", handler.settings["services"]),
        cast("RouteNames", handler.settings["route_names"]),
    )
    services.metrics.note_request(names.find(handler), request.method, status, request.request_time())
    if not isinstance(handler, BaseHandler):
        return
    log = handler.log
    usual = (HealthHandler, MetricsHandler, api_kernels.KernelsHandler, preview.PreviewHandler)
    quiet = status in (200, 304) and (status == 304 or isinstance(handler, usual))
    (log.debug if quiet else log.info)(
        "%d %s %s %s %.0f ms",
        status,
        request.method,
        request.path,
        handler.identity.name or "-",
        1000 * request.request_time(),
    )
