"""PostgreSQL with PostGIS, tuned: a server of the benchmark's own in a temporary folder, asked over a unix socket.

Statements are prepared and sent by libpq itself; its result is what is waited for, nothing is made of it in the time.
For each kind of question every way of `statements.WAYS` is tried with every manner of planning; the quickest answers
in the run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench._search import tables
from bench._search.brute import Brute
from bench._search.city import KINDS, City
from bench._search.questions import UNSPEAKABLE, Question
from bench._search.shown import Shown
from bench._search.statements import LEVELS, Way, statement, ways_for
from bench._search.vocabulary import TRADES
from bench.harness import progress, say
from infra.local.processes import Child, Children, wait_ready

Connection = Any
"""psycopg's, which is imported only where there is a server."""

PORT = 5432  # of the socket's name only: nothing listens on the network
_FIRST_TRIES = 2
_CLOSE = 1.5  # times the quickest: who is within it at first is tried again
_BUFFERS_PER_SHOP = 4_096  # bytes; all tables and indexes together take less
_LEAST_BUFFERS = 256 << 20
_PAGE = 8_192
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "8",
    "huge_pages": "try",
    "work_mem": "256MB",
    "maintenance_work_mem": "1GB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.0",
    "effective_io_concurrency": "0",
    "synchronize_seqscans": "off",
    "jit": "off",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "logging_collector": "off",
}
_ANEW = "SET plan_cache_mode = force_custom_plan"
_EAGER = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0"
MODES = {
    "generic plan": "SET plan_cache_mode = force_generic_plan",
    "custom plan": _ANEW,
    "parallel plan": f"{_ANEW}; {_EAGER}",
}
"""Each is a connection: planned once for all, each time anew, and anew with workers for nothing. Workers are allowed in
all of them, two a statement as PostgreSQL would have it."""

Ready = tuple[str, bytes, list[bytes]]


def missing() -> str:
    """What PostGIS lacks here, as a sentence; empty when it can be measured."""
    home = _home()
    if home is None:
        return "PostgreSQL with PostGIS is not installed (apt-get install postgresql-15-postgis-3)"
    if os.geteuid() == 0 and _owner() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the Python package psycopg is not installed (requirements-dev.txt)"
    return ""


def _home() -> Path | None:
    """The newest PostgreSQL that has PostGIS."""
    for extension in sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"), reverse=True):
        home = Path("/usr/lib/postgresql") / extension.parents[1].name / "bin"
        if (home / "initdb").exists():
            return home
    return None


def _owner() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


@dataclass
class Postgis:
    """A server that knows the city. `chosen` says by which way and plan each kind of question is answered, with or
    without facets, for each of `statements.LEVELS`."""

    connections: dict[str, Connection]
    open_bits: bytes
    bytes_per_shop: float = 0.0
    load_s: float = 0.0
    chosen: dict[tuple[str, bool, str], tuple[Way, str]] = field(default_factory=dict)
    _names: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def can(self, question: Question) -> bool:
        return question.kind not in UNSPEAKABLE

    def ready(self, question: Question, level: str) -> Ready:
        """Everything that a client has at hand before it asks: the connection, the statement's name, its values."""
        way, mode = self.chosen[question.kind, question.query.facets, level]
        return self._prepared(way, mode, question)

    def ask(self, ready: Ready) -> Any:
        """libpq's result, complete."""
        mode, name, values = ready
        found = self.connections[mode].pgconn.exec_prepared(name, values)
        if found.status not in (2,):  # PGRES_TUPLES_OK
            raise RuntimeError(found.error_message.decode())
        return found

    def tune(self, questions: list[Question]) -> None:
        """Choose for each kind, on each level, the way that answers a few of its questions the quickest."""
        kinds = sorted({(one.kind, one.query.facets) for one in questions if self.can(one)})
        with progress("PostGIS: choosing statements", len(kinds)) as bar:
            for number, kind in enumerate(kinds):
                some = [one for one in questions if (one.kind, one.query.facets) == kind]
                every = list(product(ways_for(some[0].query), MODES))
                bar(number, f"{kind[0]}{' + facets' * kind[1]}, {len(every)} ways")
                self._choose(kind, some, every)
            bar(len(kinds), "chosen")

    def _choose(self, kind: tuple[str, bool], some: list[Question], every: list[tuple[Way, str]]) -> None:
        """All of them with two questions; with the others those that were about as quick as the quickest."""
        taken = {each: self._tried(*each, some[:_FIRST_TRIES]) for each in every}
        again = set()
        for level in LEVELS.values():
            allowed = [each for each in every if each[0].level in level]
            best = min(sum(taken[each]) for each in allowed)
            again |= {each for each in allowed if sum(taken[each]) <= _CLOSE * best}
        for each in again:
            taken[each] += self._tried(*each, some[_FIRST_TRIES:])
        for name, level in LEVELS.items():
            allowed = [each for each in again if each[0].level in level]
            self.chosen[*kind, name] = min(allowed, key=lambda each: statistics.median(taken[each]))

    def _tried(self, way: Way, mode: str, questions: list[Question]) -> list[float]:
        """Seconds, each question's the second time."""
        taken = []
        for question in questions:
            ready = self._prepared(way, mode, question)
            self.ask(ready)
            begun = time.perf_counter()
            self.ask(ready)
            taken.append(time.perf_counter() - begun)
        return taken

    def _prepared(self, way: Way, mode: str, question: Question) -> Ready:
        sql, values = statement(way, question, self.open_bits)
        name = self._names.get((mode, sql))
        if name is None:
            name = self._names[mode, sql] = b"s%d" % len(self._names)
            made = self.connections[mode].pgconn.prepare(name, sql.encode())
            if made.status != 1:  # PGRES_COMMAND_OK
                raise RuntimeError(made.error_message.decode() + sql)
        return mode, name, values

    def plan(self, question: Question, level: str) -> list[str]:
        """How PostgreSQL answers it, in its own words."""
        mode, name, values = self.ready(question, level)
        given = ", ".join("'" + value.decode().replace("'", "''") + "'" for value in values)
        told = f"({given})" if given else ""
        asked = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) EXECUTE {name.decode()}{told}"
        return [str(row[0])[:160] for row in self.connections[mode].execute(asked).fetchall()]


def hits_of(found: Any, *, facets: bool) -> list[Shown]:
    """The page of an answer in whole hits; with facets a row of counts stands before them."""
    return [_hit(found, place) for place in range(int(facets), found.ntuples)]


def _hit(found: Any, place: int) -> Shown:
    told = [found.get_value(place, number) for number in range(len(Shown._fields))]
    values: dict[str, Any] = {}
    for name, value in zip(Shown._fields, told, strict=True):
        text = None if value is None else value.decode()
        values[name] = text if text is None else _READ.get(name, str)(text)
    return Shown(**values)


_WHOLE = ("rating", "rating_count", "price", "sales", "metres")
_READ: dict[str, Any] = {**dict.fromkeys(_WHOLE, int), "lat": float, "lng": float, "is_open": "t".__eq__}


def ids_of(found: Any, *, facets: bool) -> list[str]:
    """The page of an answer."""
    if facets:
        return _array(found.get_value(0, 0))
    return [found.get_value(place, 0).decode() for place in range(found.ntuples)]


def facets_of(found: Any) -> tuple[dict[str, dict[Any, int]], int]:
    """The counts of an answer, without zeros, and the total."""
    category: dict[Any, int] = {}
    for mask, number in zip(*[iter(_array(found.get_value(0, found.nfields - 2)))] * 2, strict=True):
        for bit, trade in enumerate(TRADES):
            if int(mask) >> bit & 1:
                category[trade.code] = category.get(trade.code, 0) + int(number)
    total, *rest = (int(each) for each in _array(found.get_value(0, found.nfields - 1)))
    names: list[tuple[str, Any]] = [("kind", kind) for kind in KINDS]
    names += [("price", low) for low in (0, 5_000, 10_000, 20_000, 50_000)]
    names += [("rating", low) for low in (400, 450, 480)] + [("open_now", True), ("open_now", False)]
    counts: dict[str, dict[Any, int]] = {name: {} for name in ("kind", "price", "rating", "open_now")}
    for (name, value), number in zip(names, rest, strict=True):
        if number:
            counts[name][value] = number
    return {"category": category, **counts}, total


def _array(value: bytes | None) -> list[str]:
    inner = (value or b"").decode().replace("{", "").replace("}", "")
    return inner.split(",") if inner else []


@contextmanager
def postgis(folder: Path, children: Children, city: City, brute: Brute) -> Iterator[Postgis]:
    """A server with the city loaded, until the block ends."""
    home, place = _home(), folder / "postgres"
    assert home is not None  # noqa: S101
    place.mkdir()
    owner = _owner() if os.geteuid() == 0 else None
    become: list[str] = []
    if owner is not None:
        for each in (folder, place):
            os.chown(each, owner.pw_uid, owner.pw_gid)
        become = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    made = [*become, str(home / "initdb"), "-D", str(place / "data"), "-U", "bench", "-A", "trust", "-N"]
    subprocess.run([*made, "--encoding=UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd=place)
    buffers = max(_LEAST_BUFFERS, city.count * _BUFFERS_PER_SHOP)
    chosen = {**_SETTINGS, "shared_buffers": f"{buffers >> 10}kB"}
    settings = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    command = [*become, str(home / "postgres"), "-D", str(place / "data"), "-k", str(place), "-p", str(PORT), *settings]
    child = children.start("postgres", command, env=os.environ, cwd=place)
    connections: dict[str, Connection] = {}
    try:
        wait_ready(child, lambda: _answers(place), 60)
        opened = np.packbits(brute.opened, bitorder="little").tobytes()
        connections |= {mode: _connect(place, set_up) for mode, set_up in MODES.items()}
        server = Postgis(connections, opened)
        _load(server, city, brute)
        yield server
    finally:
        for connection in connections.values():
            connection.close()
        _end(child)
        shutil.rmtree(place, ignore_errors=True)


def _end(child: Child) -> None:
    """At once: nothing in it is worth a checkpoint, and its shared memory goes with it."""
    if child.process.poll() is None:
        child.process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(10)


def _answers(place: Path) -> bool:
    import psycopg

    try:
        psycopg.connect(host=str(place), port=PORT, user="bench", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _connect(place: Path, set_up: str) -> Connection:
    import psycopg

    connection = psycopg.connect(host=str(place), port=PORT, user="bench", dbname="postgres", autocommit=True)
    connection.execute(set_up.encode())
    return connection


def _statements(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.split(";") if each.strip()]


def _index(connections: list[Connection]) -> None:
    """On all connections side by side: a server makes an index of this sort with one process."""
    steps = deque(_statements(tables.INDEXES))
    count = len(steps)

    def work(connection: Connection) -> None:
        with suppress(IndexError):
            while True:
                step = steps.popleft()
                bar(count - len(steps) - 1, step)
                connection.execute(step.encode())

    with progress("PostGIS: indexes", count) as bar, ThreadPoolExecutor(len(connections)) as pool:
        for done in [pool.submit(work, connection) for connection in connections]:
            done.result()
        bar(count)


def _load(server: Postgis, city: City, brute: Brute) -> None:
    begun = time.perf_counter()
    connection = next(iter(server.connections.values()))
    for extension in tables.EXTENSIONS:
        connection.execute(f"CREATE EXTENSION {extension}".encode())
    connection.execute(tables.RAW.encode())
    copying = connection.cursor().copy("COPY raw FROM STDIN")
    with progress("PostGIS: loading", city.count) as bar, copying as copy:
        for number, line in enumerate(tables.lines(city, brute)):
            copy.write(line)
            if number % 10_000 == 0:
                bar(number)
        bar(city.count)
    steps = _statements(tables.TABLES)
    with progress("PostGIS: tables", len(steps)) as bar:
        for number, step in enumerate(steps):
            bar(number, step[:60])
            connection.execute(step.encode())
        bar(len(steps))
    _index([*server.connections.values()])
    connection.execute("VACUUM (ANALYZE, FREEZE)")

    def number_of(sql: str) -> int:
        row = connection.execute(sql.encode()).fetchone()
        return int(row[0]) if row else 0

    pages, held, apart = (number_of(each) for each in (tables.WARM, tables.HELD, tables.APART))
    server.bytes_per_shop = number_of("SELECT pg_total_relation_size('shop')") / city.count
    server.load_s = time.perf_counter() - begun
    say(
        f"PostGIS: loaded, indexed and warm after {server.load_s:.0f} s, {server.bytes_per_shop:.0f} bytes a shop; "
        f"{held:,} of {pages:,} pages are in shared_buffers ({pages * _PAGE >> 20:,} MB), {apart:,} bytes in TOAST"
    )
