"""PostgreSQL with PostGIS, tuned: a server of the benchmark's own in a temporary folder, asked over a unix socket.

Statements are prepared and sent by libpq itself; what comes back are ids alone, while our engine makes whole hits. For
each kind of question every way of `statements.WAYS` is tried, each planned once for all and each time anew; the
quickest answers in the run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench._search.brute import Brute
from bench._search.city import KINDS, City, name_of, offers_of
from bench._search.questions import UNSPEAKABLE, Question
from bench._search.statements import TABLES, TUNINGS, Way, projected, statement, ways_for
from bench._search.vocabulary import TRADES
from bench.harness import progress, say
from infra.local.processes import Child, Children, wait_ready

Connection = Any
"""psycopg's, which is imported only where there is a server."""

PORT = 5432  # of the socket's name only: nothing listens on the network
_TRIES = 12
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "8",
    "shared_buffers": "1536MB",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.0",
    "effective_io_concurrency": "0",
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
Ready = tuple[str, bytes, list[bytes]]
_MODES = ("force_generic_plan", "force_custom_plan")


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
    without facets, for each of TUNINGS."""

    connections: dict[str, Connection]
    open_bits: bytes
    bytes_per_shop: float = 0.0
    load_s: float = 0.0
    chosen: dict[tuple[str, bool, str], tuple[Way, str]] = field(default_factory=dict)
    _names: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def can(self, question: Question) -> bool:
        return question.kind not in UNSPEAKABLE

    def ready(self, question: Question, tuning: str) -> Ready:
        """Everything that a client has at hand before it asks: the connection, the statement's name, its values."""
        way, mode = self.chosen[question.kind, question.query.facets, tuning]
        return self._prepared(way, mode, question)

    def ask(self, ready: Ready) -> Any:
        """libpq's result, complete."""
        mode, name, values = ready
        found = self.connections[mode].pgconn.exec_prepared(name, values)
        if found.status not in (2,):  # PGRES_TUPLES_OK
            raise RuntimeError(found.error_message.decode())
        return found

    def tune(self, questions: list[Question]) -> None:
        """Choose for each kind the way that answers a few of its questions the quickest."""
        kinds = sorted({(one.kind, one.query.facets) for one in questions if self.can(one)})
        with progress("PostGIS: choosing statements", len(kinds)) as bar:
            for number, kind in enumerate(kinds):
                bar(number, kind[0])
                some = [one for one in questions if (one.kind, one.query.facets) == kind][:_TRIES]
                tried: dict[tuple[Way, str], float] = {}
                for each in product(ways_for(some[0].query), _MODES):
                    tried[each] = self._tried(*each, some, min(tried.values(), default=1.0))
                for place, tuning in enumerate(TUNINGS, 1):
                    allowed = [each for each in tried if each[0].tuning in TUNINGS[:place]]
                    self.chosen[*kind, tuning] = min(allowed, key=tried.__getitem__)
            bar(len(kinds))

    def _tried(self, way: Way, mode: str, questions: list[Question], best_s: float) -> float:
        """The median of seconds; of few questions where it cannot be the best any more."""
        taken = []
        for question in questions:
            ready = self._prepared(way, mode, question)
            self.ask(ready)
            begun = time.perf_counter()
            self.ask(ready)
            taken.append(time.perf_counter() - begun)
            if len(taken) >= 3 and min(taken) > 3 * best_s:
                break
        return statistics.median(taken)

    def _prepared(self, way: Way, mode: str, question: Question) -> Ready:
        sql, values = statement(way, question, self.open_bits)
        name = self._names.get((mode, sql))
        if name is None:
            name = self._names[mode, sql] = b"s%d" % len(self._names)
            made = self.connections[mode].pgconn.prepare(name, sql.encode())
            if made.status != 1:  # PGRES_COMMAND_OK
                raise RuntimeError(made.error_message.decode() + sql)
        return mode, name, values

    def plan(self, question: Question, tuning: str) -> list[str]:
        """How PostgreSQL answers it, in its own words."""
        mode, name, values = self.ready(question, tuning)
        given = ", ".join("'" + value.decode().replace("'", "''") + "'" for value in values)
        told = f"({given})" if given else ""
        rows = self.connections[mode].execute(f"EXPLAIN (ANALYZE, TIMING OFF) EXECUTE {name.decode()}{told}").fetchall()
        return [str(row[0])[:160] for row in rows]


def ids_of(found: Any, *, facets: bool) -> list[str]:
    """The page of an answer."""
    if facets:
        return _array(found.get_value(0, 0))
    return [found.get_value(place, 0).decode() for place in range(found.ntuples)]


def facets_of(found: Any) -> tuple[dict[str, dict[Any, int]], int]:
    """The counts of an answer, without zeros, and the total."""
    category: dict[Any, int] = {}
    for mask, number in zip(*[iter(_array(found.get_value(0, 1)))] * 2, strict=True):
        for bit, trade in enumerate(TRADES):
            if int(mask) >> bit & 1:
                category[trade.code] = category.get(trade.code, 0) + int(number)
    total, *rest = (int(each) for each in _array(found.get_value(0, 2)))
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
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [*become, str(home / "postgres"), "-D", str(place / "data"), "-k", str(place), "-p", str(PORT), *settings]
    child = children.start("postgres", command, env=os.environ, cwd=place)
    connections: dict[str, Connection] = {}
    try:
        wait_ready(child, lambda: _answers(place), 60)
        opened = np.packbits(brute.opened, bitorder="little").tobytes()
        connections |= {mode: _connect(place, mode) for mode in _MODES}
        server = Postgis(connections, opened)
        _load(server, connections[_MODES[0]], city, brute)
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


def _connect(place: Path, mode: str) -> Connection:
    import psycopg

    connection = psycopg.connect(host=str(place), port=PORT, user="bench", dbname="postgres", autocommit=True)
    connection.execute(f"SET plan_cache_mode = {mode}")
    return connection


def _load(server: Postgis, connection: Connection, city: City, brute: Brute) -> None:
    begun = time.perf_counter()
    for extension in ("postgis", "btree_gist", "btree_gin", "pg_trgm", "pg_prewarm"):
        connection.execute(f"CREATE EXTENSION {extension}")
    connection.execute(
        'CREATE UNLOGGED TABLE raw (n int4, id text COLLATE "C", x float8, y float8, mask int8, price int4,'
        " standing int4, sales int4, rating int2, kinds int2, hours int2,"
        " categories int2[], names text)"
    )
    with progress("PostGIS: loading", city.count) as bar:
        with connection.cursor().copy("COPY raw FROM STDIN") as copy:
            for number, line in enumerate(_lines(city, brute)):
                copy.write(line)
                if number % 10_000 == 0:
                    bar(number)
        bar(city.count, "indexes")
        for step in filter(None, map(str.strip, TABLES.split(";"))):
            connection.execute(step.encode())
        connection.execute(
            "SELECT pg_prewarm(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
        )
        bar(city.count, "ready")
    size = connection.execute("SELECT pg_total_relation_size('shop') + pg_total_relation_size('listing')").fetchone()
    server.bytes_per_shop = (int(size[0]) if size else 0) / city.count
    server.load_s = time.perf_counter() - begun
    say(f"PostGIS: loaded, indexed and warm after {server.load_s:.0f} s, {server.bytes_per_shop:.0f} bytes a shop")


def _lines(city: City, brute: Brute) -> Iterator[bytes]:
    """What COPY reads. Only Chinese names: those are what its keywords are compared with."""
    east, north, _ = projected(city.columns["lat"], city.columns["lng"])
    numbers = zip(east.tolist(), north.tolist(), brute.standing.tolist(), strict=True)
    for number, (row, (x, y, standing)) in enumerate(zip(city.rows(), numbers, strict=True)):
        menu = city.menus[row.menu]
        names = "\\n".join(each["zh-CN"] for each in (name_of(row), *offers_of(row, len(menu.kinds))))
        mask = 1 << row.trade | 1 << row.second_trade
        kinds = int(city.menu_kinds[row.menu])
        yield (
            f"{number}\t{row.id}\t{x!r}\t{y!r}\t{mask}\t{row.price}\t{standing}\t{row.sales}\t{row.rating}\t{kinds}"
            f"\t{row.hours}\t{{{','.join(map(str, sorted({row.trade, row.second_trade})))}}}\t{names}\n"
        ).encode()
