"""The queues of the tests: moto's, which lives inside this process, and a door to it for who calls SQS by HTTP."""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import ClientError


@lru_cache(maxsize=1)
def admin() -> Any:
    """A boto3 client of moto's SQS. moto knows a request by AWS's own address."""
    import boto3

    return boto3.client("sqs", endpoint_url="https://sqs.us-east-1.amazonaws.com", region_name="us-east-1")


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
        try:
            status, answer = 200, admin()._make_api_call(operation, asked)
            answer.pop("ResponseMetadata")
        except ClientError as error:
            told = error.response["Error"]
            status, answer = 400, {"__type": f"com.amazonaws.sqs#{told['Code']}", "message": told["Message"]}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def start() -> str:
    """Opens the door; returns its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
