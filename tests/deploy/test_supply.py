"""What the product is made of is listed, and what is known to be vulnerable in it is not overlooked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.ports import free_port
from tests.support.servers import ROOT

SBOM = ROOT / "deploy" / "sbom.cdx.json"
LOCK = """werkzeug==3.1.0 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
click==8.2.0 \\
    --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111
"""


def test_the_list_of_parts_is_current_fits_its_schema_and_names_every_package_and_script():
    current = subprocess.run([sys.executable, str(ROOT / ".ci" / "sbom"), "--check"], capture_output=True, text=True)
    assert current.returncode == 0, current.stderr
    text = SBOM.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = {(part["purl"].split(":")[1].split("/")[0], part["name"], part["version"]) for part in json.loads(text)["components"]}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / "requirements-tracing.lock").read_text(), re.MULTILINE)
    assert {("pypi", name, version) for name, version in pinned} <= parts
    folders = {path.name for path in (ROOT / "gateway" / "web" / "vendor").iterdir() if path.is_dir()}
    scripts = {name for kind, name, _ in parts if kind == "npm"}
    assert scripts >= {"preact", "htm", "pico", "swagger-ui-dist"}
    assert len(folders) == len(scripts)


class Vulnerabilities:
    """A database of vulnerabilities on the loopback interface, in the form of OSV, that knows one about werkzeug."""

    def __enter__(self) -> Vulnerabilities:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known: dict[str, Any] = {}
                if asked["package"]["name"] == "werkzeug":
                    known = {
                        "vulns": [
                            {
                                "id": "GHSA-aaaa-bbbb-cccc",
                                "aliases": ["CVE-2026-0001"],
                                "summary": "It answers too much.",
                                "details": "",
                                "affected": [
                                    {
                                        "package": {"name": "werkzeug", "ecosystem": "PyPI"},
                                        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.4"}]}],
                                    }
                                ],
                            }
                        ]
                    }
                body = json.dumps(known).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/query"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _audit(folder: Path, url: str, allowed: str = "allowed: []", today: str = "2026-11-26", index: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "some.lock").write_text(LOCK)
    (folder / "allowed.yaml").write_text(allowed)
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / ".ci" / "audit"),
            "--osv-url",
            url,
            "--index",
            index,
            "--allowed",
            str(folder / "allowed.yaml"),
            "--today",
            today,
            str(folder / "some.lock"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_known_vulnerability_fails_the_audit_until_it_is_judged_and_again_when_the_judgement_is_over(tmp_path):
    judged = "allowed: [{id: CVE-2026-0001, reason: 'The page that does it is not served.', until: 2026-12-31}]"
    with Vulnerabilities() as known:
        found = _audit(tmp_path, known.url)
        assert found.returncode == 1 and "VULNERABLE  werkzeug 3.1.0: CVE-2026-0001, mended in 3.1.4" in found.stdout, found.stdout + found.stderr
        passed = _audit(tmp_path, known.url, judged)
        assert passed.returncode == 0 and "allowed until 2026-12-31" in passed.stdout, passed.stdout + passed.stderr
        over = _audit(tmp_path, known.url, judged, today="2027-01-01")
        assert over.returncode == 1 and "OVER  CVE-2026-0001" in over.stdout
        unclear = _audit(tmp_path, known.url, "allowed: [{id: CVE-2026-0001}]")
        assert unclear.returncode == 1 and "needs id, reason and until" in unclear.stderr


def test_a_database_of_vulnerabilities_that_cannot_be_asked_is_said_and_is_not_none(tmp_path):
    done = _audit(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query")
    assert done.returncode == 75 and done.stderr.startswith("NOT AUDITED:"), done.stdout + done.stderr


def test_the_audit_says_which_packages_are_old_and_fails_on_none(tmp_path):
    def file(version: str, day: str, **more: Any) -> dict[str, Any]:
        return {"filename": f"werkzeug-{version}-py3-none-any.whl", "upload-time": f"{day}T10:00:00Z", **more}

    index = tmp_path / "index"
    for name, files in (("werkzeug", []), ("click", [{"filename": "click-8.2.0.tar.gz", "upload-time": "2025-05-10T00:00:00Z"}])):
        (index / name).mkdir(parents=True)
        (index / name / "index.html").write_text(json.dumps({"files": files}))
    with Vulnerabilities() as known, served(index) as url:
        def told(*files: dict[str, Any]) -> str:
            (index / "werkzeug" / "index.html").write_text(json.dumps({"files": files}))
            done = _audit(tmp_path, known.url, "allowed: [{id: CVE-2026-0001, reason: x, until: 2026-12-31}]", index=url)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        found = told(file("3.1.0", "2024-11-01"), file("3.1.1", "2025-02-01"), file("4.0.0", "2026-11-01"))
        assert "OLD  werkzeug 3.1.0 (2024-11-01): 3.1.1 is there since 2025-02-01, and 4.0.0 since 2026-11-01" in found and "1 of 2 packages are old" in found
        # What came lately, was withdrawn, or is not final makes nothing old.
        found = told(file("3.1.0", "2024-11-01"), file("3.1.1", "2026-10-01"), file("3.2.0", "2025-01-01", yanked="broken"), file("4.0.0rc1", "2025-01-01"))
        assert "OLD" not in found and "0 of 2 packages are old" in found
        away = _audit(tmp_path, known.url, "allowed: [{id: CVE-2026-0001, reason: x, until: 2026-12-31}]", index=f"http://127.0.0.1:{free_port()}")
        assert away.returncode == 0 and away.stderr.startswith("AGE NOT KNOWN:"), away.stdout + away.stderr


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["audit-allowed.yaml"])
def test_the_list_of_judged_vulnerabilities_can_be_read(name):
    import yaml

    assert isinstance(yaml.safe_load((ROOT / "deploy" / name).read_text())["allowed"], list)
