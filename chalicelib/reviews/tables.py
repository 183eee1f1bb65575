"""Rows of reviews. A review's id begins with its shop's tag, so it resolves to its key without an index.

| pk | sk | what |
|---|---|---|
| tag of the shop | half of the review's id | the review; while it is not published it stands in the index `moderated` |
| `<tag>#all` | `<ms>#<half>` | a published review: its place in the list, and its scores, which are what is counted |
| `<image>` | `-` | the review that has taken this image; it stays when the image is taken away |
| `<tag>#img` | `<ms>#<half>` | the same, of those with images |

The instant is that of the writing and never changes, so pages are stable; the index `by_score` orders the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Stale
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.page import Page
from chalicelib.reviews.model import PUBLISHED, Author, Reply, Review, Scores
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name
from chalicelib.runtime.transaction import OldItem, Otherwise, Transaction

NEWEST, HIGHEST, LOWEST = "newest", "highest", "lowest"
_ALL, _IMAGES = "all", "img"
_BATCH = 100
_ONE = "-"


class ModeratedIndex(GlobalSecondaryIndex["_ReviewsRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    """Sparse: what is not published, by state."""

    class Meta:
        index_name = "moderated"
        projection = KeysOnlyProjection()

    state = UnicodeAttribute(hash_key=True, attr_name="mk")
    moment = UnicodeAttribute(range_key=True, attr_name="ms")


class ByScoreIndex(GlobalSecondaryIndex["_ReviewsRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    """Sparse: the places of published reviews, by total score and then by time."""

    class Meta:
        index_name = "by_score"
        projection = KeysOnlyProjection()

    pk = UnicodeAttribute(hash_key=True)
    score = UnicodeAttribute(range_key=True, attr_name="ss")


class _ReviewsRow(Row):
    """All rows share the table, so all must know its indexes."""

    class Meta:
        table_name = table_name("reviews")

    moderated = ModeratedIndex()
    by_score = ByScoreIndex()
    queue = UnicodeAttribute(attr_name="mk", null=True)
    moment = UnicodeAttribute(attr_name="ms", null=True)
    score = UnicodeAttribute(attr_name="ss", null=True)


class ReviewRow(_ReviewsRow):
    version = IntegerAttribute(attr_name="v")
    mark = UnicodeAttribute(attr_name="rh", null=True)
    content = PackedAttribute(attr_name="d")


class ImageRow(_ReviewsRow):
    """An image is used once, for good."""

    review_id = UnicodeAttribute(attr_name="r")


class PlaceRow(_ReviewsRow):
    """`scores` are the three digits as one number."""

    scores = IntegerAttribute(attr_name="s")


def _row(review: Review) -> ReviewRow:
    tag, half = ids.split(review.id)
    held = review.state != PUBLISHED
    return ReviewRow(
        tag,
        half,
        queue=review.state if held else None,
        moment=_moment(review) if held else None,
        version=review.version,
        mark=review.mark or None,
        content=_pack(review),
    )


def _pack(review: Review) -> dict[str, Any]:
    """Short on the wire; what is blank is not written."""
    scores = review.scores
    packed: dict[str, Any] = {
        "s": review.shop_id,
        "m": review.merchant_id,
        "o": review.order_id,
        "l": review.line_id,
        "n": dict(review.offer_name),
        "a": [review.author.account_id, review.author.shown],
        "p": [scores.service, scores.environment, scores.value],
        "t": review.text,
        "i": list(review.images),
        "st": review.state,
        "c": review.created_at.ms,
        "e": review.edited_at.ms if review.edited_at else 0,
        "r": [review.reply.text, review.reply.at.ms] if review.reply else [],
        "f": list(review.faults),
        "w": review.reason,
        "im": int(review.imported),
    }
    return {name: value for name, value in packed.items() if value}


def _review(row: ReviewRow) -> Review:
    d = row.content
    reply = d.get("r")
    return Review(
        id=f"rev_{row.pk}{row.sk}",
        shop_id=d["s"],
        merchant_id=d["m"],
        order_id=d.get("o", ""),
        line_id=d.get("l", ""),
        offer_name=d.get("n", {}),
        author=Author(*d["a"]),
        scores=Scores(*d["p"]),
        text=d.get("t", ""),
        images=tuple(d.get("i", ())),
        state=d["st"],
        created_at=Instant(d["c"]),
        edited_at=Instant(d["e"]) if "e" in d else None,
        reply=Reply(reply[0], Instant(reply[1])) if reply else None,
        faults=tuple(d.get("f", ())),
        reason=d.get("w", ""),
        mark=row.mark or "",
        imported=bool(d.get("im")),
        version=row.version,
    )


def _moment(review: Review) -> str:
    return f"{review.created_at.ms:013d}#{ids.split(review.id)[1]}"


def _key(review_id: str) -> tuple[str, str]:
    return ids.split(review_id)


def _half(moment: str) -> str:
    return moment.rpartition("#")[2]


# ---------------------------------------------------------------------------------------------- reading


def review(review_id: str) -> Review | None:
    """A101 a review by its id, strongly."""
    pk, sk = _key(review_id)
    for row in ReviewRow.query(pk, ReviewRow.sk == sk, consistent_read=True):
        return _review(row)
    return None


def many(review_ids: Sequence[str], *, consistent: bool) -> list[Review]:
    """A102 the reviews with these ids that are there, in the order of the ids."""
    found: dict[str, Review] = {}
    for start in range(0, len(review_ids), _BATCH):
        keys = [_key(each) for each in review_ids[start : start + _BATCH]]
        for row in ReviewRow.batch_get(keys, consistent_read=consistent):
            found[f"rev_{row.pk}{row.sk}"] = _review(row)
    return [found[each] for each in review_ids if each in found]


def mark_of(old: OldItem) -> str:
    """The request that made the stored row."""
    return str((old or {}).get("rh", {}).get("S", ""))


def places(shop_id: str, order: str, after: str | None, limit: int, *, with_images: bool = False) -> Page[str]:
    """A103 ids of a shop's published reviews: `newest` first, or `highest` (newest first among equals), or `lowest`
    (oldest first among equals). The key to go on after is the last one's."""
    tag = ids.tag(shop_id)
    pk = f"{tag}#{_IMAGES if with_images else _ALL}"
    falling = order != LOWEST
    if order == NEWEST:
        beyond = None if after is None else PlaceRow.sk < after
        newest = PlaceRow.query(pk, beyond, scan_index_forward=False, limit=limit + 1)
        found = [(row.sk, _half(row.sk)) for row in newest]
    else:
        beyond = None if after is None else (ByScoreIndex.score < after if falling else ByScoreIndex.score > after)
        by_score = PlaceRow.by_score.query(pk, beyond, scan_index_forward=not falling, limit=limit + 1)
        found = [(str(row.score), _half(row.sk)) for row in by_score]
    page = [f"rev_{tag}{half}" for _, half in found[:limit]]
    return Page(page, found[limit - 1][0] if len(found) > limit else None)


def moments(shop_id: str, after: str | None, limit: int) -> list[tuple[str, str]]:
    """A103 (moment, id) of a shop's published reviews, newest first, older than a moment of any shop's review."""
    tag = ids.tag(shop_id)
    beyond = None if after is None else PlaceRow.sk < after
    rows = PlaceRow.query(f"{tag}#{_ALL}", beyond, scan_index_forward=False, limit=limit)
    return [(row.sk, f"rev_{tag}{_half(row.sk)}") for row in rows]


def used_images(images: Sequence[str]) -> dict[str, str]:
    """A106 the reviews that have had some of these images, by image, strongly."""
    return {
        row.pk: row.review_id for row in ImageRow.batch_get([(image, _ONE) for image in images], consistent_read=True)
    }


def scores_of(shop_id: str) -> Iterator[Scores]:
    """A104 the scores of all published reviews of a shop, strongly: some sixty of them a read unit."""
    for row in PlaceRow.query(f"{ids.tag(shop_id)}#{_ALL}", consistent_read=True):
        service, rest = divmod(row.scores, 100)
        yield Scores(service, *divmod(rest, 10))


def in_state(state: str, after: str | None, limit: int) -> Page[str]:
    """A105 ids of the reviews of any shop that are not published, by state, oldest first."""
    beyond = None if after is None else ModeratedIndex.moment > after
    rows = list(ReviewRow.moderated.query(state, beyond, limit=limit + 1))
    page = [f"rev_{row.pk}{row.sk}" for row in rows[:limit]]
    return Page(page, rows[limit - 1].moment if len(rows) > limit else None)


# ---------------------------------------------------------------------------------------------- writing


def put_new(tx: Transaction, review: Review, otherwise: Otherwise) -> None:
    tx.put_new(_row(review), otherwise)
    _put_places(tx, None, review)


def use_image(tx: Transaction, image: str, review_id: str, otherwise: Otherwise) -> None:
    """A106 given to the first review that asks."""
    tx.put_new(ImageRow(image, _ONE, review_id=review_id), otherwise)


def save(tx: Transaction, before: Review, after: Review) -> None:
    """Over the version that was read. Raises Stale when another one stands there."""
    tx.put(_row(after), ReviewRow.version == before.version, Stale())
    _put_places(tx, before, after)


def _put_places(tx: Transaction, before: Review | None, after: Review) -> None:
    """The places of what is published, and no others. The review's own condition guards them."""
    old = set(_lists(before)) if before else set()
    new = set(_lists(after))
    for name in sorted(new):
        if name not in old or before is None or before.scores != after.scores:
            tx.put(_place(after, name))
    for name in sorted(old - new):
        tx.delete(_place(after, name))


def _lists(review: Review) -> Iterable[str]:
    if review.counted is not None:
        yield _ALL
        if review.images:
            yield _IMAGES


def _place(review: Review, name: str) -> PlaceRow:
    scores = review.scores
    return PlaceRow(
        f"{ids.split(review.id)[0]}#{name}",
        _moment(review),
        score=f"{scores.total:02d}#{_moment(review)}",
        scores=scores.service * 100 + scores.environment * 10 + scores.value,
    )
