"""`python -m infra.local.stripe_server`: the local Stripe server as a process."""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from infra.local.stripe_server import validation
from infra.local.stripe_server.clock import ShiftedClock
from infra.local.stripe_server.delivery import Sender
from infra.local.stripe_server.engine import StripeEngine
from infra.local.stripe_server.errors import ApiError
from infra.local.stripe_server.scope import Settings
from infra.local.stripe_server.server import HOST, StripeServer
from infra.local.stripe_server.store import Store

_PR_SET_PDEATHSIG = 1
_LOOKS_FOR_PARENT_EVERY_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the parent's end. Returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="stripe: %(message)s")
    settings = Settings(
        secret_key=options.secret_key,
        public_url=options.public_url.rstrip("/"),
        refund_delay_seconds=options.refund_delay_seconds,
    )
    engine = StripeEngine(Store(options.db), clock=ShiftedClock(options.clock_file), settings=settings)
    if options.webhook_url:
        try:
            engine.set_endpoint(options.webhook_url, options.webhook_secret)
        except ApiError as refusal:
            print(f"stripe: {refusal}", file=sys.stderr)
            return 2
    server = StripeServer(engine, options.port, logs_requests=not options.quiet)
    sender = Sender(engine)

    def end(_signal: int, _frame: FrameType | None) -> None:
        # Every acknowledged write is committed already, so there is nothing to wait for.
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if options.parent_pid:
        _die_with(options.parent_pid)
    sender.start()
    # Building the strict parameter types takes a third of a second: better now than inside the first request.
    threading.Thread(target=validation.warm, name="warm", daemon=True).start()
    print(f"stripe: listening on http://{HOST}:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.stripe_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and prints it")
    parser.add_argument("--db", type=Path, help="SQLite file; without it everything is forgotten at the end")
    parser.add_argument("--secret-key", required=True, help="the only API key that is accepted")
    parser.add_argument("--webhook-url", help="all events are sent there")
    parser.add_argument("--webhook-secret", default="", help="signs what is sent to --webhook-url")
    parser.add_argument("--clock-file", type=Path, help="holds the seconds to add to the system clock")
    parser.add_argument("--public-url", default=Settings.public_url, help="where the pay page is served")
    parser.add_argument("--refund-delay-seconds", type=float, default=Settings.refund_delay_seconds)
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    return parser


def _die_with(parent: int) -> None:
    """End when the parent does: by the kernel's signal on Linux, and by looking, for everywhere else."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOKS_FOR_PARENT_EVERY_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
