"""Rows that are wrong in a city's log, in what is noted of days, in its base and in its reviews. See
`plants`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from chalicelib.catalog.tables import CatalogRow, LogRow
from chalicelib.kernel import ids
from chalicelib.reviews.tables import PlaceRow
from chalicelib.search.tables import NoteRow
from tests.invariants.reading import Raw, Seen
from tests.slices.plants import breaks

LOG, CATALOG = LogRow.Meta.table_name, CatalogRow.Meta.table_name
REVIEWS, SEARCH = PlaceRow.Meta.table_name, NoteRow.Meta.table_name


def _changed(seen: Seen, table: str, wanted: Callable[[Raw], bool], change: Callable[[Raw], Raw | None]) -> Seen:
    """The first row that is wanted as `change` makes it; without it for None."""
    found = next(item for item in seen.raw[table] if wanted(item))
    changed = change(found)
    rest = [item for item in seen.raw[table] if item is not found]
    return replace(seen, raw={**seen.raw, table: [*rest, *([] if changed is None else [changed])]})


def _packed(item: Raw, name: str, value: object) -> Raw:
    """A row with one of its packed values changed."""
    return {**item, "d": {"S": json.dumps({**json.loads(item["d"]["S"]), name: value})}}


def _pk(item: Raw) -> str:
    return str(item["pk"]["S"])


def _sk(item: Raw) -> str:
    return str(item["sk"]["S"])


def _content(item: Raw) -> str:
    return str(item.get("d", {}).get("S", ""))


def _is_note(item: Raw) -> bool:
    return not _pk(item).startswith(("base#", "doubt#"))


# ---------------------------------------------------------------------------------------------- the log


@breaks("the_log_has_no_gap")
def an_entry_of_the_log_is_missing(seen: Seen) -> Seen:
    return _changed(seen, LOG, lambda item: '"base"' in _content(item), lambda _: None)


@breaks("the_log_has_no_gap")
def the_number_of_a_city_runs_ahead(seen: Seen) -> Seen:
    return _changed(
        seen, LOG, lambda item: _sk(item) == "-", lambda item: {**item, "n": {"N": str(int(item["n"]["N"]) + 1)}}
    )


@breaks("the_log_ends_with_what_is_listed")
def a_shop_is_listed_that_the_log_has_gone(seen: Seen) -> Seen:
    (shop_id, *_) = sorted(_sk(item) for item in seen.raw[CATALOG] if _pk(item).startswith("city#"))

    def last(item: Raw) -> bool:
        others = [_sk(one) for one in seen.raw[LOG] if shop_id in _content(one) and '"page"' in _content(one)]
        return _sk(item) == max(others)

    return _changed(seen, LOG, last, lambda item: {**item, "d": {"S": json.dumps({"gone": shop_id})}})


@breaks("the_log_ends_with_what_is_listed")
def a_shop_is_not_listed_that_the_log_has(seen: Seen) -> Seen:
    return _changed(seen, CATALOG, lambda item: _pk(item).startswith("city#"), lambda _: None)


# ---------------------------------------------------------------------------------------------- notes and bases


@breaks("notes_are_the_newest_told")
def an_older_note_stands(seen: Seen) -> Seen:
    def older(item: Raw) -> Raw:
        return {**item, "r": {"N": str(int(item["r"]["N"]) - 1)}}

    return _changed(seen, SEARCH, _is_note, older)


@breaks("notes_are_the_newest_told")
def a_note_is_not_there(seen: Seen) -> Seen:
    return _changed(seen, SEARCH, _is_note, lambda _: None)


@breaks("search_knows_each_day", "notes_are_the_newest_told")
def a_free_day_is_noted_as_full(seen: Seen) -> Seen:
    return _changed(seen, SEARCH, _is_note, lambda item: {name: item[name] for name in item.keys() - {"u"}})


@breaks("the_base_is_there")
def a_base_has_no_file(seen: Seen) -> Seen:
    return replace(seen, files=frozenset())


@breaks("the_base_is_there")
def a_base_is_newer_than_the_log(seen: Seen) -> Seen:
    def newer(item: Raw) -> Raw:
        return _packed(item, "sequence", 1_000_000)

    return _changed(seen, SEARCH, lambda item: _pk(item).startswith("base#"), newer)


# ---------------------------------------------------------------------------------------------- reviews


@breaks("places_are_of_what_is_published")
def a_hidden_review_has_its_place(seen: Seen) -> Seen:
    def hidden(item: Raw) -> Raw:
        return {**_packed(item, "st", "hidden"), "mk": {"S": "hidden"}}

    return _changed(seen, REVIEWS, lambda item: "#" not in _pk(item), hidden)


@breaks("places_are_of_what_is_published")
def a_published_review_waits_for_operators(seen: Seen) -> Seen:
    def waits(item: Raw) -> Raw:
        return {**item, "mk": {"S": "in_review"}}

    return _changed(seen, REVIEWS, lambda item: "#" not in _pk(item), waits)


@breaks("places_are_of_what_is_published", "ratings_are_recounts")
def a_published_review_has_no_place(seen: Seen) -> Seen:
    return _changed(seen, REVIEWS, lambda item: _pk(item).endswith("#all"), lambda _: None)


@breaks("ratings_are_recounts")
def a_rating_has_counted_one_twice(seen: Seen) -> Seen:
    return _changed(seen, CATALOG, lambda item: _sk(item) == "rtg", lambda item: _packed(item, "n", 9))


@breaks("ratings_are_recounts")
def a_shop_was_never_rated(seen: Seen) -> Seen:
    return _changed(seen, CATALOG, lambda item: _sk(item) == "rtg", lambda _: None)


@breaks("ratings_are_recounts", "the_log_ends_with_what_is_listed")
def a_shop_is_listed_with_another_rating(seen: Seen) -> Seen:
    (rated,) = (_pk(item) for item in seen.raw[CATALOG] if _sk(item) == "rtg")

    def other(item: Raw) -> Raw:
        shop = json.loads(item["d"]["S"])["shop"]
        return _packed(item, "shop", {**shop, "rc": shop["rc"] + 1})

    return _changed(seen, CATALOG, lambda item: _pk(item).startswith("city#") and ids.tag(_sk(item)) == rated, other)
