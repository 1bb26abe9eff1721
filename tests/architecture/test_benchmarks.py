"""Benchmarks are run by hand, some once a month: what they need of the product is there all the same."""
from __future__ import annotations

import subprocess
import sys

from tests.support.servers import ROOT, project_environment

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"benchmarks.{name}")
    except ImportError as error:
        print(f"{name}: {error}")
"""


def test_every_benchmark_finds_what_it_imports() -> None:
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, *names], env=project_environment(), cwd=ROOT, capture_output=True, text=True,
                          timeout=300)
    assert len(names) > 10 and (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
