"""Runs MiniStack 1.5.33 with three of its checks as AWS makes them. Run by MiniStack's own Python, in its place.

For what names several parameters MiniStack asks whether everything (`*`) is allowed, which a policy of names never
allows; AWS asks for each parameter. It takes a log group for what is written to, where AWS takes the log stream. And it
takes SendMessageBatch for an action of its own, where AWS knows SendMessage only.
Source: the service authorization reference, pages "AWS Systems Manager", "Amazon CloudWatch Logs" and "Amazon SQS".

And it lets all workers share one unpacked copy of the code: MiniStack unpacks and compiles the 50 MB again for each.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import iam_actions, iam_evaluator, lambda_runtime

_resource_of = iam_actions.extract_resource_arn
_enforce = iam_evaluator.enforce
_MANY = "\n"


def resource_of(
    service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: Any, region: str, account: str
) -> str:
    """The resource of a request; several of them stand on a line each."""
    found: str = _resource_of(service, method, path, headers, body, query, region, account)
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if service == "ssm" and action == "GetParameters":
        names = json.loads(body)["Names"]
        return _MANY.join(f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}" for name in names)
    if service == "ssm" and action == "GetParametersByPath":
        return f"arn:aws:ssm:{region}:{account}:parameter/{json.loads(body)['Path'].strip('/')}"
    if service == "logs" and action in ("CreateLogStream", "PutLogEvents"):
        return f"{found}:log-stream:{json.loads(body)['logStreamName']}"
    return found


def enforce(key: str, action: str, service: str, region: str, resource_arn: str = "*", **context: Any) -> Any:
    """The first refusal, or None: each of several resources must be allowed."""
    if service == "sqs":
        action = action.removesuffix("Batch")
    for each in resource_arn.split(_MANY):
        denied = _enforce(key, action, service, region, resource_arn=each, **context)
        if denied:
            return denied
    return None


class SharedCode(zipfile.ZipFile):
    """A package that is unpacked once; whoever unpacks it again gets a link to that copy."""

    _lock = threading.Lock()

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        assert self.filename
        wanted, digest = Path(path), hashlib.sha256(Path(self.filename).read_bytes()).hexdigest()
        shared = wanted.parent.parent / f"code-{digest}"
        with self._lock:
            if not shared.exists():
                super().extractall(shared, members, pwd)
        wanted.rmdir()
        os.symlink(shared, wanted)


iam_actions.extract_resource_arn = resource_of
iam_evaluator.enforce = enforce
lambda_runtime.zipfile = SimpleNamespace(
    ZipFile=SharedCode, BadZipFile=zipfile.BadZipFile, LargeZipFile=zipfile.LargeZipFile
)

if __name__ == "__main__":
    runpy.run_module("ministack", run_name="__main__")
