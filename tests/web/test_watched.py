"""What is told of watched files, to whom, and where an environment says which it follows."""

from __future__ import annotations

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.services import specifications, watched
from conda_store_hub.services.watched import FileText
from tests.support import make
from tests.support.service import run_service
from tests.web.test_pages import Page


def test_files_are_listed_for_who_may_and_shown_with_their_environments(data: DataDirectory) -> None:
    with run_service(data) as service, service.client("root") as root, service.client("alice") as alice:
        assert root.get("api/v1/watched-file/").json()["data"] == []
        assert alice.get("api/v1/watched-file/").status_code == 403
        (folder,) = service.db.write_sync(watched.begin, ["/srv/files"])
        prepared = specifications.check(watched.read("a/ml.yaml", make.text(), "linux-64"), make.rules())
        file = FileText(folder_id=folder.id, path="a/ml.yaml", sha256="0" * 64)
        service.db.write_sync(watched.take, file, prepared, make.rules(), ())
        service.db.write_sync(watched.record_problem, file, "It is not YAML.")
        told = root.get("api/v1/watched-file/").json()
        assert told["folders"] == [{"id": folder.id, "path": "/srv/files", "problem": None}]
        assert [(row["path"], row["environment"], row["problem"]) for row in told["data"]] == [
            ("a/ml.yaml", "ml", "It is not YAML.")
        ]
        health = Page(root.get("admin/health/"))
        for words in ("1 file not taken, see below", "/srv/files/a/ml.yaml", "It is not YAML.", "stays as it was"):
            assert words in health.text
        assert alice.get("api/v1/watched-file/").status_code == 403
        assert "a/ml.yaml" in alice.get("environment/filesystem/ml/").text
        assert alice.get("api/v1/environment/filesystem/ml/").json()["data"]["watched_file"] == "a/ml.yaml"
