"""Every page of the service as it may look, to be looked at: by axe, by a telephone's width, by people.

It is a service behind a fake Hub, with what a course would have built; nothing is really built.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, expect

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType, Download, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.core.reasons import Wanted, make_key
from conda_store_hub.core.schemas.notes import Banner, BannerLevel
from conda_store_hub.services import work
from conda_store_hub.web.pages.guide import load_guide
from conda_store_hub.web.previews import PreviewState
from conda_store_hub.web.registry.place import Registry
from tests.support import make
from tests.support.browser import SECONDS
from tests.support.fake_hub import user
from tests.support.service import RunningService, run_service
from tests.support.window import open_window

#: Without motion: of colours that are still changing axe would say that they cannot be told apart.
OPTIONS = {"locale": "en-GB", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"}
SPECIFICATION = """\
# Climate data of the last forty years: see the reader's chapter 3.
name: {name}
description: {description}
channels:
  - main
dependencies:
  - python 3.12.*
  - xarray >=2024.1
  - netcdf4  # the archive's format
  - pip:
      - cowsay==6.1
"""
PACKAGES = (
    *("python=3.12.7", "xarray=2024.9.0", "netcdf4=1.7.1", "numpy=2.1.2", "pandas=2.2.3", "hdf5=1.14.3"),
    *("libnetcdf=4.9.2", "ca-certificates=2024.8.30", "ipykernel=6.29.5", "tzdata=2024b", "openssl=3.3.2"),
)
WANTED = Wanted(asked=frozenset(make_key("conda", name) for name in ("python", "xarray", "netcdf4")))
LOG = """\
Channels: main
Platform: linux-64
Solve: 118 packages in 2.4 s
Downloading numpy 2.1.2 py312h58c1407_0
Linking hdf5 1.14.3 nompi_hdf9ad27_105
"""
FILES = ((ArtifactType.LOCKFILE, 48_000), (ArtifactType.YAML, 900), (ArtifactType.CONDA_PACK, 250_000))
EXPLANATION = """\
The following packages are incompatible
├─ numpy 1.* can be installed with any of the following options:
│  └─ numpy 1.26 would require
│     └─ python >=3.9,<3.13, which can be installed;
└─ python 3.13.* cannot be installed because there are no viable options:
   └─ python 3.13.0 conflicts with the versions reported above.
"""
SOLVED = (PhaseEvent(name=Phase.SOLVE, state="started"), PhaseEvent(name=Phase.SOLVE, state="finished", seconds=2.4))
INSTALLING = PhaseEvent(name=Phase.INSTALL, state="started")
INSTALLED = PhaseEvent(name=Phase.INSTALL, state="finished", seconds=14.2)
CLIMATE = "environment/alice/climate/"
LOGIN = (
    "oauth2/authorize/?response_type=code&client_id=conda-store&state=x&scope=admin&host=laptop"
    f"&code_challenge={'a' * 43}&code_challenge_method=S256"
)
_NARROW = 500


@dataclass(frozen=True)
class Shown:
    """A page: its address, who looks, and what they do there before it is looked at."""

    path: str
    user: str = "alice"
    act: Callable[[Page], None] | None = None
    status: int = 200
    part: str = "body"
    """What axe looks at, where all of a page would take it a minute."""
    around: Callable[[RunningService], AbstractContextManager[None]] | None = None
    """How the service is while it is looked at."""
    looks: int = 2
    """How often axe looks at it: light and dark, or dark alone; 0 for what is made of parts that it sees elsewhere."""


def _search(page: Page) -> None:
    page.get_by_role("searchbox").first.press_sequentially("num")


def _make_token(page: Page) -> None:
    page.get_by_label("Label").fill("Nightly builds of the reader")
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator("#made")).to_be_visible()


def _let_in(page: Page) -> None:
    page.get_by_role("button", name="Let it in").click()
    expect(page.get_by_role("button", name="Let it in")).to_have_count(0)


def _type_wrongly(page: Page) -> None:
    page.get_by_label("environment.yaml").fill("name: new\nchannels:\n  - main\ndependencies:\n  - python ==== 3\n")
    page.get_by_role("button", name="Build it").click()
    expect(page.locator("#error")).to_contain_text("line 5")


def _preview(page: Page) -> None:
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview-title")).to_be_visible()


def _wait_for_preview(page: Page) -> None:
    state = PreviewState(key="k", has_ended=False, says="Waiting for its turn: 12 others are before it.", seconds=754)
    page.route("**/create/", lambda route: route.fulfill(status=202, json=state.model_dump()))
    page.route("**/create/preview/k/", lambda route: None)  # an answer that does not come
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#working-time")).to_contain_text("12 min")


def _preview_without_script(page: Page) -> None:
    page.evaluate("""() => {
      const form = document.getElementById("create");
      const asked = { type: "hidden", name: "action", value: "preview" };
      form.append(Object.assign(document.createElement("input"), asked));
      HTMLFormElement.prototype.submit.call(form);
    }""")
    expect(page.get_by_role("button", name="Look again")).to_be_visible()


def _conflict(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("climate")
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("climate")


def _come_back_logged_out(page: Page) -> None:
    page.context.clear_cookies()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(": not done")


def _describe_logged_out(page: Page) -> None:
    page.get_by_label("Description").fill("What I had typed before my session ended,\nin two lines.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")


def _set_badly(page: Page) -> None:
    page.get_by_label("quota_bytes, set").fill("a lot")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def _open_navigation(page: Page) -> None:
    page.evaluate("document.querySelector('#thenavbar').classList.add('show')")  # as wide as it is, too


def _send_too_much(page: Page) -> None:
    page.evaluate("""() => {
      const form = document.getElementById("create");
      form.elements.specification.value = "x".repeat(6_500_000);
      HTMLFormElement.prototype.submit.call(form);
    }""")
    expect(page.get_by_text("The request is larger than")).to_be_visible()


def _tag_badly(page: Page) -> None:
    page.get_by_label("A tag for this build").evaluate("(field) => { field.removeAttribute('pattern'); }")
    page.get_by_label("A tag for this build").fill("no tag!")
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()


def _describe_after_another(page: Page) -> None:
    seen = page.locator("[name=seen-description]")
    seen.evaluate("(field) => { field.value = JSON.stringify('What it was before'); }")
    page.get_by_label("Description").fill("What I make of it")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()


@contextmanager
def _for_everybody(service: RunningService) -> Generator[None]:
    service.services.auth.allow_anonymous = True
    yield
    service.services.auth.allow_anonymous = False


@contextmanager
def _with_banner(service: RunningService) -> Generator[None]:
    words = "On Monday from 8 to 10 nothing is built: see https://hub.example.org/news."
    service.services.pages.note_banner(Banner(message=words, level=BannerLevel.WARNING))
    yield
    service.services.pages.note_banner(None)


@contextmanager
def _solving_for_long(service: RunningService) -> Generator[None]:
    service.solve_by("import time; time.sleep(600)")
    yield
    service.solve_at_once()


@contextmanager
def _while_it_starts(service: RunningService) -> Generator[None]:
    service.services.readiness.ready = False
    yield
    service.services.readiness.ready = True


PAGES = {
    "home": Shown(""),
    "home-unfolded": Shown("", act=_unfold, looks=1),
    "home-banner": Shown("", around=_with_banner, looks=0),
    "home-navigation": Shown("", "root", act=_open_navigation, looks=1),
    "anonymous-home": Shown("", "", around=_for_everybody, looks=0),
    "anonymous-environment": Shown(CLIMATE, "", around=_for_everybody, looks=1),
    "anonymous-build": Shown("build/4/", "", around=_for_everybody, looks=0),
    "home-empty": Shown("", "dora"),
    "home-found-nothing": Shown("?search=nothing"),
    "home-package": Shown("?search=package:numpy>=2"),
    "home-bad-search": Shown("?search=package:["),
    "home-search": Shown("", act=_search),
    "create": Shown("create/"),
    "create-fault": Shown("create/", act=_type_wrongly),
    "create-change": Shown("create/?environment=alice/climate"),
    "create-preview": Shown("create/?environment=alice/climate", act=_preview),
    "create-preview-awaited": Shown("create/?environment=alice/climate", act=_wait_for_preview),
    "create-preview-unready": Shown("create/", act=_preview_without_script, around=_solving_for_long, looks=1),
    "create-conflict": Shown("create/", act=_conflict),
    "create-too-much": Shown("create/", act=_send_too_much, looks=0),
    "create-nowhere": Shown("create/", "root"),
    "environment": Shown(CLIMATE),
    "environment-unfolded": Shown(CLIMATE, act=_unfold, looks=0),
    "environment-viewer": Shown(CLIMATE, "bob"),
    "environment-failed": Shown("environment/group.physics/ocean/"),
    "environment-long": Shown(f"environment/alice/{'n' * 64}/"),
    "environment-deleted": Shown("environment/alice/old/"),
    "environment-rename": Shown(f"{CLIMATE}rename/"),
    "environment-clone": Shown(f"{CLIMATE}clone/"),
    "environment-description": Shown(f"{CLIMATE}description/"),
    "environment-description-conflict": Shown(f"{CLIMATE}description/", act=_describe_after_another, looks=1),
    "environment-delete": Shown(f"{CLIMATE}delete/"),
    "environment-share": Shown(f"{CLIMATE}share/"),
    "environment-policy": Shown(f"{CLIMATE}policy/"),
    "environment-policy-fault": Shown(f"{CLIMATE}policy/", act=_set_badly),
    "changes": Shown(f"{CLIMATE}changes/?build=3"),
    "build-completed": Shown("build/4/"),
    "build-tag": Shown("build/4/", act=_tag_badly, looks=1),
    "build-pinned": Shown("build/2/"),
    "build-deleted": Shown("build/1/"),
    "build-delete": Shown("build/3/delete/"),
    "build-failed": Shown("build/5/"),
    "build-cancelled": Shown("build/7/"),
    "build-long": Shown("build/8/"),
    "build-running": Shown("build/9/"),
    "build-queued": Shown("build/10/"),
    "packages": Shown("build/4/packages/"),
    "packages-found": Shown("build/4/packages/?search=net"),
    "namespaces": Shown("namespace/"),
    "namespaces-admin": Shown("namespace/", "root"),
    "namespace": Shown("namespace/alice/"),
    "namespace-viewer": Shown("namespace/group.physics/", "carol"),
    "namespace-policy": Shown("namespace/alice/policy/"),
    "namespace-delete": Shown("namespace/course/delete/", "root"),
    "user": Shown("user/"),
    "user-token": Shown("user/", act=_make_token),
    "user-revoke": Shown("user/token/1/"),
    "user-nothing": Shown("user/", "bob"),
    "login": Shown(LOGIN),
    "login-yes": Shown(LOGIN, act=_let_in),
    "admin": Shown("admin/", "root"),
    "admin-unfolded": Shown("admin/", "root", act=_unfold, looks=0),
    "admin-namespaces-found": Shown("admin/namespaces/?search=ali", "root", looks=0),
    "admin-namespaces": Shown("admin/namespaces/", "root"),
    "admin-policy": Shown("admin/policy/", "root"),
    "admin-audit": Shown("admin/audit/", "root"),
    "admin-health": Shown("admin/health/", "root"),
    "admin-banner": Shown("admin/banner/", "root"),
    "again": Shown("build/4/", act=_come_back_logged_out),
    "again-description": Shown(f"{CLIMATE}description/", act=_describe_logged_out),
    "error-not-found": Shown("no/such/page", status=404),
    "error-forbidden": Shown("admin/", status=403),
    "error-login": Shown("oauth_callback?error=access_denied", "", status=403, looks=1),
    "error-starting": Shown(CLIMATE, status=503, around=_while_it_starts, looks=0),
    "error-bad-question": Shown("?page=x", status=400),
    "docs-api": Shown("docs/api/", part="main section:nth-of-type(-n + 4)", looks=1),
    "docs-index": Shown("docs/"),
    **{f"docs-{name}": Shown(f"docs/{name}/", looks=1) for name in load_guide("") if name != "index"},
}


@contextmanager
def gallery(data: DataDirectory) -> Generator[RunningService]:
    """Run the service with all that the pages show."""
    registry = Registry(through_hub=True, address="hub.example.org")
    with run_service(data, registry=registry) as service:
        service.hub.tokens["dora-token"] = user("dora")
        service.solve_at_once()
        service.search_at_once()
        _fill(service)
        yield service


@dataclass
class Windows:
    """Windows of one look: light or dark, wide or narrow; one for each who only reads."""

    chromium: Browser
    service: RunningService
    scheme: str
    width: int
    _readers: dict[str, Page] = field(default_factory=dict)

    @contextmanager
    def show(self, shown: Shown) -> Generator[Page]:
        """Show a page; what is done on it does not bear on others."""
        with shown.around(self.service) if shown.around else nullcontext(), self._show(shown) as page:
            yield page

    @contextmanager
    def _show(self, shown: Shown) -> Generator[Page]:
        if shown.act is None and not shown.path.startswith("create/"):
            if shown.user not in self._readers:
                self._readers[shown.user] = self._open(shown.user)
            yield self._go(self._readers[shown.user], shown)
            return
        page = self._go(self._open(shown.user), shown)
        if shown.act is not None:
            shown.act(page)
        yield page
        page.context.close()

    def close(self) -> None:
        """Close them."""
        for page in self._readers.values():
            page.context.close()

    def _open(self, user: str) -> Page:
        size = {"width": self.width, "height": 900 if self.width > _NARROW else 740}
        context = self.chromium.new_context(viewport=size, color_scheme=self.scheme, **OPTIONS)  # type: ignore[arg-type]
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        return open_window(context, user)

    def _go(self, page: Page, shown: Shown) -> Page:
        answer = page.goto(f"{self.service.url}{shown.path}")
        assert answer is not None
        assert answer.status == shown.status, f"{shown.path}: {answer.status}"
        expect(page.locator("html")).to_have_attribute("data-bs-theme", self.scheme)
        return page


def _fill(service: RunningService) -> None:
    _build_climate(service)
    _fail(service, "ocean", "group.physics")
    service.completed("old")
    with service.client("alice") as alice:
        alice.delete("api/v1/environment/alice/old/").raise_for_status()
    _cancel(service, service.submit("tried-out"))
    _build_long(service)
    _give(service)
    running = service.submit("course-2026", namespace="group.physics")
    service.claim(running)
    coming = (
        Download(name="libllvm", done=21_000_000, total=38_000_000),
        Download(name="numpy", done=250_000, total=8_000_000),
        Download(name="qt6-main", done=4_000_000, total=0),
    )
    progress = ProgressEvent(phase=Phase.INSTALL, done=81, total=118, unit="packages", downloads=coming)
    service.log(running, LOG, phases=(*SOLVED, INSTALLING), progress=progress)
    service.submit("tomorrow")


def _build_climate(service: RunningService) -> None:
    for count in (6, 9, 10, len(PACKAGES)):
        yaml = SPECIFICATION.format(name="climate", description="Climate data of the last forty years")
        build = service.submit(yaml=yaml)
        service.claim(build)
        service.log(build, LOG, phases=(*SOLVED, INSTALLING, INSTALLED))
        made = make.usable(*PACKAGES[:count], channel="https://conda.example.org/main")
        service.db.write_sync(work.mark_usable, service.tickets[build], made, wanted=WANTED)
        for kind, size in (
            (ArtifactType.LOCKFILE, 48_000),
            (ArtifactType.YAML, 900),
            (ArtifactType.CONDA_PACK, 250_000),
        ):
            service.store(build, kind, bytes([build]) * size)
        service.log(build, "Packing the archive\nDone after 31 s\n")
        service.finish(build)
    with service.client("alice") as alice:
        alice.put("api/v1/build/2/pin/").raise_for_status()
        alice.delete("api/v1/build/1/").raise_for_status()


def _fail(service: RunningService, name: str, namespace: str) -> None:
    build = service.submit(name, namespace=namespace)
    service.claim(build)
    error = SolveError("“numpy 1.*” cannot be installed with “python 3.13.*”.", detail=EXPLANATION, line=5, column=3)
    lines = "".join(f"  {line}\n" for line in (error.detail or "").splitlines())
    service.log(build, f"Channels: main\nFailed: {error.public_message}\n{lines}", phases=SOLVED[:1])
    service.finish(build, error)


def _cancel(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        alice.put(f"api/v1/build/{build}/cancel/").raise_for_status()


def _build_long(service: RunningService) -> None:
    """Make what is as long as it may be."""
    long = "n" * 64
    yaml = f"name: {long}\ndescription: {'d' * 300}\nchannels: [main]\ndependencies:\n  - python\n"
    build = service.submit(yaml=yaml)
    service.claim(build)
    service.log(build, f"{'x' * 500}\n")
    service.use(build, *(f"{long}{number}={long}" for number in range(3)))
    service.finish(build)


def _give(service: RunningService) -> None:
    """Have people known, share with them, make tokens, set policies, and say something to everybody."""
    for name in ("bob", "carol"):
        with service.browser(name):
            pass
    with service.client("root") as root:
        for name in ("course", "gone"):
            root.post(f"api/v1/namespace/{name}/").raise_for_status()
        root.delete("api/v1/namespace/gone/").raise_for_status()
    anyone = {"subject": "anyone", "role": "viewer"}
    with _for_everybody(service), service.client("alice") as alice:
        alice.put("api/v1/environment/alice/climate/member/", json=anyone).raise_for_status()
    with service.client("alice") as alice:
        for name, role in (("bob", "viewer"), ("carol", "developer")):
            grant = {"subject": "user", "name": name, "role": role}
            alice.put("api/v1/environment/alice/climate/member/", json=grant).raise_for_status()
        quota = {"quota_builds": 90, "quota_bytes": 10**10, "forbidden_packages": ["numpy <2", "scipy"]}
        alice.put("api/v1/setting/alice/", json=quota).raise_for_status()
        alice.put("api/v1/setting/alice/climate/", json={"keep_builds": 5}).raise_for_status()
        alice.put("api/v1/build/4/tag/v1.0/", json={}).raise_for_status()
        for label in ("laptop", "Nightly run of the course's machine"):
            alice.post("api/v1/token/", json={"label": label, "role": "viewer"}).raise_for_status()
