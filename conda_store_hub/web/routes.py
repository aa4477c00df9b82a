"""Every address, and the application that serves them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, RequestHandler

from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.web import (
    api_builds,
    api_environments,
    api_kernels,
    api_namespaces,
    files,
    forms,
    guide,
    oversize,
    pages,
)
from conda_store_hub.web.base import MAX_BODY, ApiNotFoundHandler, BaseHandler, Services
from conda_store_hub.web.health import HealthHandler
from conda_store_hub.web.page import PageNotFoundHandler


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of what follows our prefix, and what answers there."""

    pattern: str
    target: type[RequestHandler] | Router
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


_ARTIFACTS = {
    "yaml": ArtifactType.YAML,
    "lockfile": ArtifactType.LOCKFILE,
    r"conda-lock\.ya?ml": ArtifactType.LOCKFILE,
    "archive": ArtifactType.CONDA_PACK,
}


def make_application(services: Services, *, prefix: str, cookie_secret: bytes) -> Application:
    """Return the application for a Hub's service at `prefix`, which begins and ends with a slash.

    `cookie_secret`: what sessions are signed with; another one ends all of them.
    """
    application = ServiceApplication(
        default_handler_class=OutsideHandler,
        cookie_secret=cookie_secret,
        log_function=log_request,
        services=services,
        prefix=prefix,
    )
    rules = [*_api_rules(), *_page_rules(application, services)]
    anchored = [(re.escape(prefix) + rule.pattern, rule.target, rule.arguments) for rule in rules]
    application.add_handlers(".*", [*anchored, (re.escape(prefix.rstrip("/")) or "/", pages.SlashHandler, {})])
    return application


def _api_rules() -> list[Rule]:
    v1, build, environment = "api/v1", r"api/v1/build/([^/]+)", r"api/v1/environment/([^/]+)/([^/]+)"
    return [
        Rule("health/?", HealthHandler),
        Rule(f"{v1}/?", api_namespaces.VersionHandler),
        Rule(f"{v1}/permission/?", api_namespaces.PermissionHandler),
        Rule(f"{v1}/namespace/?", api_namespaces.NamespacesHandler),
        Rule(f"{v1}/environment/?", api_environments.EnvironmentsHandler),
        Rule("api/v2/environment/?", api_environments.EnvironmentsByCursorHandler),
        Rule(f"{environment}/?", api_environments.EnvironmentHandler),
        Rule(f"{v1}/specification/?", api_environments.SpecificationHandler),
        Rule(f"{v1}/build/?", api_builds.BuildsHandler),
        Rule(f"{build}/?", api_builds.BuildHandler),
        Rule(f"{build}/packages/?", api_builds.PackagesHandler),
        Rule(f"{build}/logs/?", api_builds.LogHandler),
        Rule(f"{build}/cancel/?", api_builds.CancelHandler),
        *(
            Rule(f"{build}/{path}/?", api_builds.ArtifactHandler, {"artifact": kind})
            for path, kind in _ARTIFACTS.items()
        ),
        Rule(f"{v1}/kernels/?", api_kernels.KernelsHandler),
        Rule("api(?:/.*)?", ApiNotFoundHandler),
    ]


def _page_rules(application: Application, services: Services) -> list[Rule]:
    return [
        Rule("oauth_callback", CallbackRouter(application, services)),
        Rule("login/?", pages.LoginHandler),
        Rule("", pages.HomeHandler),
        Rule("user/?", pages.UserHandler),
        Rule("create/?", forms.CreateHandler),
        Rule(r"environment/([^/]+)/([^/]+)/?", pages.EnvironmentHandler),
        Rule(r"build/([^/]+)/?", pages.BuildHandler),
        Rule(r"docs(?:/([^/]*))?/?", guide.GuideHandler),
        Rule("static/hub/(.*)", files.HubFileHandler, {"path": str(files.HUB_FILES)}),
        Rule("static/(.*)", files.FileHandler, {"path": str(files.FILES)}),
        Rule(".*", PageNotFoundHandler),
    ]


class ServiceApplication(Application):
    """An application that refuses a body which is or may be too large before it has read it."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Find who answers; `headers_received` comes before the body, so what is found here can refuse it."""
        fault = oversize.find_fault(request.headers)
        if isinstance(request.connection, HTTP1Connection):
            request.connection.set_max_body_size(oversize.MOST_DRAINED if fault else MAX_BODY)
        if fault is None:
            return super().find_handler(request, **kwargs)
        is_api = request.path.startswith(f"{self.settings['prefix']}api/")
        refusal = oversize.ApiRefusal if is_api else oversize.PageRefusal
        return self.get_handler_delegate(request, refusal, {"error": fault})


class CallbackRouter(Router):
    """Loads the Hub's own callback handler when the Hub first calls back."""

    def __init__(self, application: Application, services: Services) -> None:
        self._application = application
        self._services = services

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Find the Hub's handler."""
        oauth = self._services.auth.hub.load_oauth()
        from conda_store_hub.web.oauth import CallbackHandler

        return self._application.get_handler_delegate(request, CallbackHandler, {"oauth": oauth})


class OutsideHandler(RequestHandler):
    """What is not under our prefix is not ours."""

    def prepare(self) -> None:
        """Say so."""
        self.set_status(404)
        self.finish("There is nothing here.\n")


def log_request(handler: RequestHandler) -> None:
    """Log a request without its query, which may hold what is nobody's business; quietly what comes all the time."""
    if not isinstance(handler, BaseHandler):
        return
    request, status = handler.request, handler.get_status()
    log = handler.log
    quiet = status in (200, 304) and isinstance(handler, (HealthHandler, api_kernels.KernelsHandler))
    (log.debug if quiet else log.info)(
        "%d %s %s %s %.0f ms",
        status,
        request.method,
        request.path,
        handler.identity.name or "-",
        1000 * request.request_time(),
    )
