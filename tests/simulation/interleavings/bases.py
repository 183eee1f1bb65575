"""The log of a city and the base that is built beside it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import City
from chalicelib.search import bases, pointers, tables
from chalicelib.search.pointers import Pointer
from chalicelib.wiring import ports
from tests.builders import catalog as build
from tests.simulation.interleavings.case import Round, case, outcomes


def _named(name: str) -> dict[str, str]:
    return {"zh-CN": "剪刀手", "en": name}


def _builds(round: Round, city: City, before: Pointer | None) -> str:
    return "built" if bases.build(round.ctx, city, before) is not None else "too late"


@case(weight=0.5)
def base_is_built_twice(round: Round) -> None:
    """Two build the first base of a city while a shop changes, and then two the next one: of each one stands, the
    other takes its file away, and the log has what the base has not seen."""
    city = build.stored_city()
    shop = build.stored_page(city=city.code).shop
    for version in (1, 2):
        before = tables.base(city.code, consistent=True)
        build_it = partial(_builds, round, city, before)
        changed = build.next_version(catalog.shop(round.ctx, shop.id), name=_named(f"Name {version}"))
        *built, put = round.race(build_it, build_it, partial(catalog.put_shop, round.ctx, changed))
        round.same("answers", (outcomes(built), put), ({"built": 1, "too late": 1}, None))
        stands = tables.base(city.code, consistent=True)
        assert stands is not None
        round.same("version", stands.version, version)
        kept = {key for key in (stands.key, stands.before) if key}
        round.same("files", set(ports().files.list(pointers.folder(city.code))), kept)
        told = citylog.changes_after(city.code, stands.sequence)
        round.holds("the log goes on behind it", all(a.sequence + 1 == b.sequence for a, b in pairwise(told)))
        announced = [one.told["base"] for one in told if one.told]
        round.same("announced", announced, [version])


@case(weight=0.5)
def next_entry_of_a_log(round: Round) -> None:
    """Two shops of a city change while something else is told there: three entries, one after the other, each once."""
    city = round.kept("city", build.stored_city).code
    shops = [build.stored_page(city=city).shop for _ in range(2)]
    before = citylog.sequence(city, consistent=True)
    found = round.race(
        *(partial(catalog.put_shop, round.ctx, build.next_version(shop, name=_named("New"))) for shop in shops),
        partial(citylog.tell, round.ctx, city, {"base": round.seed}, lambda tx: None),
    )
    round.same("answers", outcomes(found), {"done": 3})
    entries = citylog.changes_after(city, before)
    round.same("numbers", [one.sequence for one in entries], [before + 1, before + 2, before + 3])
    said = sorted(one.page.shop.id if one.page is not None else str(one.told) for one in entries)
    round.same("said", said, sorted([*(shop.id for shop in shops), str({"base": round.seed})]))
