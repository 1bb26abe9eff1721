"""An S3 server for tests: moto in a process of its own on a free port of the loopback interface, ended by its pid."""
from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from typing import Any

from tests.support.ports import free_port
from tests.support.servers import ROOT

KEY, SECRET = "test-key", "test-secret-never-shown"


class ObjectStore:
    """A running store; ``fs`` is a plain s3fs client of it for looking from outside."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([sys.executable, "-m", "tests.support.timely_moto", "-H", "127.0.0.1", "-p", str(self.port)], cwd=ROOT,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.1)
        import s3fs

        self.fs = s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=self.url, skip_instance_cache=True, use_listings_cache=False)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def parameters(self, bucket: str, **more: Any) -> dict[str, Any]:
        """What a source of the adaptor fsspec needs for a bucket (or bucket/prefix) here; the secret by name."""
        return {"url": f"s3://{bucket}", "storage_options": {
            "key": KEY, "secret": {"secret": "TEST_STORE"}, "endpoint_url": self.url, "region": "us-east-1"}, **more}
