"""What a process needs before it may import the product: settings and secrets that are the same in every run, and time
and chance that come from the seed. Import this module first."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Of no account and no provider: made up, and the same in each run, because a trace must not depend on them.
SECRETS = {
    "token_key_1": "11" * 32,
    "phone_key": "22" * 32,
    "blind_index_key": "33" * 32,
    "quote_key": "44" * 32,
    "cursor_key": "55" * 32,
    "stripe_secret_key": "sk_test_simulation",
    "stripe_webhook_secret": "whsec_simulation",
}
_folder = Path(tempfile.mkdtemp(prefix="linli-simulation-"))
FILES = _folder / "files"
(_folder / "secrets.json").write_text(json.dumps(SECRETS), encoding="utf-8")

# A run is the same wherever it is begun, in a test with settings of its own too.
for inherited in [name for name in os.environ if name.startswith(("LINLI_", "AWS_"))]:
    del os.environ[inherited]
os.environ.update(
    AWS_ENDPOINT_URL="http://127.0.0.1:9",  # where nobody listens: every call has to pass the wire
    AWS_ACCESS_KEY_ID="simulation",
    AWS_SECRET_ACCESS_KEY="simulation",
    AWS_DEFAULT_REGION="us-east-1",
    LINLI_STAGE="test",
    LINLI_SECRETS_FILE=str(_folder / "secrets.json"),
    LINLI_FILES="tests.simulation.files:Files",
    LINLI_FILES_BUCKET=str(FILES),
    LINLI_PHOTOS_BUCKET=str(_folder / "photos"),
    LINLI_SMS="tests.simulation.phones:Phones",
    LINLI_STRIPE_BASE_URL="http://127.0.0.1:9",
    LINLI_DUE_SHARDS="2",  # more find nothing more
    LINLI_JOURNAL_SHARDS="2",
    LINLI_RATE_ADDRESS_MINUTE="1000000",
    LINLI_RATE_ACCOUNT_MINUTE="1000000",
    LINLI_LOG_LEVEL="CRITICAL",
    TOKIO_WORKER_THREADS="1",  # of the engine, which is asked one thing at a time
)


def remove() -> None:
    """Takes away what this process has put down."""
    shutil.rmtree(_folder, ignore_errors=True)


class Chance:
    """Every random number of the process, from one seed: keys, ids, tokens, the jitter of retries."""

    def __init__(self) -> None:
        self._source = random.Random(0)  # noqa: S311  # predictable is what is wanted
        os.urandom = self._bytes
        random._urandom = self._bytes  # type: ignore[attr-defined]  # what `secrets` draws from, bound by name

    def _bytes(self, count: int) -> bytes:
        return self._source.randbytes(count)

    def begin(self, seed: str) -> None:
        self._source.seed(seed)
        random.seed(seed)


def virtual_time(sleep: Callable[[float], None], now_ms: Callable[[], int]) -> None:
    """From now on nobody sleeps but on the virtual clock, and the product's one clock is the virtual one."""
    from chalicelib.kernel.instant import Instant
    from chalicelib.runtime import clock

    time.sleep = sleep
    clock.machine_now = lambda: Instant(now_ms())
