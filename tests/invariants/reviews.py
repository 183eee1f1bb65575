"""Reviews against the places in which they are listed, and against what their shops are rated."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from chalicelib.catalog.packing import to_page
from chalicelib.catalog.tables import CatalogRow
from chalicelib.kernel import ids
from chalicelib.reviews.tables import PlaceRow
from tests.invariants.reading import Raw, Seen

Scores = tuple[int, ...]


def places_are_of_what_is_published(seen: Seen) -> list[str]:
    """Each published review, and no other, has its place among all of its shop's with the scores that it gives, and
    one among those with images when it has any; what is not published waits where operators look."""
    wanted, found = set(), set()
    faults = []
    for item in _reviews(seen):
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        tag, _, which = pk.partition("#")
        if which:
            found.add((tag, which, sk, _scores(item)))
            continue
        review = json.loads(item["d"]["S"])
        moment = f"{review['c']:013d}#{sk}"
        shown = review["st"] == "published"
        if shown:
            wanted.add((tag, "all", moment, tuple(review["p"])))
            if review.get("i"):
                wanted.add((tag, "img", moment, tuple(review["p"])))
        if item.get("mk", {}).get("S", "published") != review["st"]:
            faults.append(f"rev_{tag}{sk}: is {review['st']}, and operators find it elsewhere")
    for tag, which, moment, scores in sorted(wanted ^ found):
        said = "lacks" if (tag, which, moment, scores) in wanted else "has, and should not,"
        faults.append(f"rev_{tag}{moment.rpartition('#')[2]}: {said} its place among {which} with {scores}")
    return faults


def ratings_are_recounts(seen: Seen) -> list[str]:
    """A shop's rating is what its published scores come to, counted here again, and its listing shows that."""
    given: dict[str, list[Scores]] = defaultdict(list)
    for item in _reviews(seen):
        tag, _, which = item["pk"]["S"].partition("#")
        if which == "all":
            given[tag].append(_scores(item))
    rated, listed = {}, {}
    for item in seen.raw.get(CatalogRow.Meta.table_name, ()):
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        if sk == "rtg":
            rated[pk] = json.loads(item["d"]["S"])
        elif pk.startswith("city#"):
            shop = to_page(CatalogRow.from_raw_data(item).content).shop
            listed[ids.tag(sk)] = (shop.rating_sum_centi, shop.rating_count)
    faults = []
    for tag in sorted(given.keys() | rated.keys()):
        wanted = _counted(given[tag])
        if rated.get(tag, _counted([])) != wanted:
            faults.append(f"{tag}: its rating is {rated.get(tag)}, and its reviews come to {wanted}")
        if tag in rated and tag in listed and listed[tag] != (shown := _shown(given[tag])):
            faults.append(f"{tag}: is listed with {listed[tag]}, and its reviews come to {shown}")
    return faults


def _reviews(seen: Seen) -> list[Raw]:
    """None in a reading of some shops. Which review has used an image is another matter."""
    items = seen.raw.get(PlaceRow.Meta.table_name, [])
    return [item for item in items if not item["pk"]["S"].startswith("img_")]


def _scores(item: Raw) -> Scores:
    return tuple(map(int, f"{int(item['s']['N']):03d}"))


def _counted(given: list[Scores]) -> dict[str, Any]:
    """Halves cannot be: a mean of three is a third, two thirds or whole."""
    stars = Counter(round(sum(each) / 3) for each in given)
    sums = [sum(column) for column in zip(*given, strict=True)] if given else [0, 0, 0]
    return {"n": len(given), "s": sums, "st": [stars[n] for n in range(1, 6)]}


def _shown(given: list[Scores]) -> tuple[int, int]:
    """The sum of all means in hundredths, rounded half up, and how many."""
    return (2 * 100 * sum(map(sum, given)) + 3) // 6, len(given)


ALWAYS = (places_are_of_what_is_published,)
AT_REST = (ratings_are_recounts,)
