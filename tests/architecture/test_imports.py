"""Who may import whom: the contracts in ``pyproject.toml``, and where eventlet and nameko may be known."""
from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
from pathlib import Path

from tests.architecture.tree import CODE, ROOT, modules
from tests.support.servers import project_environment

MAY_KNOW_NAMEKO = (
    "shared/bus/*.py", "shared/hosting/*.py", "services/*/service.py", "gateway/service.py", "gateway/__main__.py",
    "gateway/websocket/transport.py",
)


def imported(path: Path) -> set[str]:
    """The top names that a module imports, at its head or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_the_import_laws_hold():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"],
        cwd=ROOT, env=project_environment(), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_eventlet_and_nameko_are_known_only_where_the_mesh_is_hosted():
    strangers = [
        f"{path} imports {name}" for path in modules(*CODE) for name in imported(path) & {"eventlet", "nameko"}
        if not any(fnmatch.fnmatch(path.as_posix(), pattern) for pattern in MAY_KNOW_NAMEKO)
    ]
    assert strangers == []


def test_the_launcher_needs_only_the_standard_library():
    assert imported(Path("edgemere")) <= sys.stdlib_module_names


def test_product_code_imports_no_test():
    assert [str(path) for path in modules(*CODE) if "tests" in imported(path)] == []
