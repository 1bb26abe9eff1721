"""What a process that serves loads before it serves: each module more is time that somebody waits for at every start."""
from __future__ import annotations

import subprocess
import sys

from tests.support.servers import ROOT, project_environment

# A whole mesh, up to the moment in which it would be started.
PROGRAM = """
import sys
from shared.hosting.greening import green
green()
import gateway.service
from services.catalog.service import Catalog
from shared.storage.migrate import migrations_folder, script_directory
script_directory(migrations_folder("catalog"))
print(sorted({"aiohttp", "tornado", "dns", "pygments", "rich", "duckdb", "pyarrow", "fsspec", "s3fs"} & set(sys.modules)))
import aiohttp
"""


def test_a_server_loads_nothing_of_what_its_libraries_could_do_besides() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], env=project_environment(), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
