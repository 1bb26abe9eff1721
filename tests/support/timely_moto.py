"""``python -m tests.support.timely_moto``: moto's server, whose uploads in parts tell when they began, as stores do; moto says 2010 of each."""
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from moto import server
from moto.s3.models import FakeMultipart
from moto.s3.responses import S3Response

_BEGAN: dict[str, str] = {}
_made, _serialized = FakeMultipart.__init__, S3Response.serialized


def _make(self: Any, *given: Any, **more: Any) -> None:
    _made(self, *given, **more)
    _BEGAN[self.id] = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _serialize(self: Any, action: Any) -> Any:
    for one in action.result.get("Uploads", ()) if isinstance(action.result, dict) else ():
        one["Initiated"] = _BEGAN[one["UploadId"]]
    return _serialized(self, action)


if __name__ == "__main__":
    FakeMultipart.__init__, S3Response.serialized = _make, _serialize
    server.main()
