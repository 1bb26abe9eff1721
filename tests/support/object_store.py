"""An S3 server for tests: moto in a process of its own on a free port of the loopback interface, ended by its pid."""
from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT
from tests.support.starting import until_it_answers

KEY, SECRET = "test-key", "test-secret-never-shown"


class ObjectStore:
    """A running store; ``fs`` is a plain s3fs client of it for looking from outside."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = tempfile.NamedTemporaryFile(prefix="edgemere-moto-")
        self.process = subprocess.Popen([sys.executable, "-m", "tests.support.timely_moto", "-H", "127.0.0.1", "-p", str(self.port)], cwd=ROOT,
                                        stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output, start_new_session=True)
        reaper.watch_group(self.process.pid)
        try:
            until_it_answers("moto", self._answers, self.process, lambda: Path(self._output.name).read_text(errors="replace")[-5000:])
        except BaseException:
            self.stop()
            raise
        import s3fs

        self.fs = s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=self.url, skip_instance_cache=True, use_listings_cache=False)

    def _answers(self) -> bool:
        with urllib.request.urlopen(self.url + "/moto-api/", timeout=20) as answer:
            return answer.status == 200

    def stop(self) -> None:
        """End it: what it keeps is in its memory."""
        end_group(self.process.pid)
        self.process.wait()
        reaper.forget_group(self.process.pid)
        self._output.close()

    def parameters(self, bucket: str, **more: Any) -> dict[str, Any]:
        """What a source of the adaptor fsspec needs for a bucket (or bucket/prefix) here; the secret by name."""
        return {"url": f"s3://{bucket}", "storage_options": {
            "key": KEY, "secret": {"secret": "TEST_STORE"}, "endpoint_url": self.url, "region": "us-east-1"}, **more}
