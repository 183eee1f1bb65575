"""Decisions about codes, sessions and permissions, without any store."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.identity import model
from chalicelib.identity.model import Otp, OtpInvalid, OtpLimit, OtpLocked, OtpResendTooSoon, OtpRules, Session
from chalicelib.kernel.instant import DAY_MS, Instant

RULES = OtpRules(seconds=300, tries=5, resend_seconds=60, per_day=10)
NOW = Instant.parse("2026-11-22T09:00:00Z")


def otp(**changed: object) -> Otp:
    fields = {
        "hash": "h",
        "tries": 0,
        "expires": NOW.plus(seconds=300),
        "sent": NOW,
        "day": NOW.ms // DAY_MS,
        "day_count": 1,
        **changed,
    }
    return Otp(**fields)


def session(**changed: object) -> Session:
    fields = {
        "id": "ses_1",
        "account_id": "acc_1",
        "hash": "current",
        "expires": NOW.plus(days=30),
        "created_at": NOW,
        **changed,
    }
    return Session(**fields)


def test_a_second_code_within_a_minute_is_refused_and_says_how_long_to_wait() -> None:
    """The 60 seconds count from the message before, not from the request that was refused."""
    with pytest.raises(OtpResendTooSoon) as refused:
        model.issue(otp(), "other", NOW.plus(seconds=45), RULES)
    assert refused.value.retry_after_seconds == 15
    assert model.issue(otp(), "other", NOW.plus(seconds=60), RULES).hash == "other"


def test_a_fresh_code_has_all_its_tries_again() -> None:
    """Locking ends with the next code."""
    assert model.issue(otp(tries=5), "other", NOW.plus(seconds=60), RULES).tries == 0


@settings(max_examples=15)
@given(st.integers(0, 5 * DAY_MS))
def test_a_phone_gets_at_most_ten_codes_in_any_utc_day(start_ms: int) -> None:
    """Asked for every minute for a day, whatever the hour it starts."""
    now, known, sent = NOW.plus(ms=start_ms), None, dict[int, int]()
    for _ in range(24 * 60):
        try:
            known = model.issue(known, "h", now, RULES)
            sent[known.day] = sent.get(known.day, 0) + 1
        except OtpLimit as limit:
            now = now.plus(seconds=limit.retry_after_seconds or 0)
            continue
        now = now.plus(seconds=60)
    assert max(sent.values()) == 10


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        (None, OtpInvalid),
        (otp(hash=None), OtpInvalid),
        (otp(used=NOW), OtpInvalid),
        (otp(expires=NOW), OtpInvalid),
        (otp(tries=5), OtpLocked),
        (otp(tries=6), OtpLocked),
    ],
)
def test_a_code_that_cannot_be_tried_is_refused_for_its_reason(known: Otp | None, problem: type[Exception]) -> None:
    """Unknown, void, used and expired look alike from outside; only a spent one says so."""
    assert isinstance(model.refusal(known, NOW, RULES), problem)


def test_a_code_may_be_tried_until_its_last_millisecond_and_its_fifth_time() -> None:
    """The limits are inclusive on the right side."""
    assert model.refusal(otp(tries=4, expires=NOW.plus(ms=1)), NOW, RULES) is None


@pytest.mark.parametrize(
    ("kept", "token", "at", "standing"),
    [
        (session(), "current", NOW, "current"),
        (session(), "other", NOW, "reused"),
        (session(previous="old", previous_until=NOW.plus(ms=1)), "old", NOW, "repeated"),
        (session(previous="old", previous_until=NOW), "old", NOW, "reused"),
        (session(previous="old", previous_until=NOW.plus(ms=1)), "older", NOW, "reused"),
        (session(), "current", NOW.plus(days=30), "over"),
        (None, "current", NOW, "over"),
    ],
)
def test_what_a_refresh_token_is_to_its_session(kept: Session | None, token: str, at: Instant, standing: str) -> None:
    """Current, repeated within the grace, reused after it, or over."""
    assert model.standing(kept, token, at) == standing


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-5, 50)), max_size=40), st.integers(1, 20))
def test_surplus_sessions_are_those_over_and_then_the_oldest(made: list[tuple[int, int]], keep: int) -> None:
    """What stays is never more than the limit, never over, and never older than what went while living."""
    all_sessions = [
        session(id=f"ses_{i:03d}", created_at=NOW.plus(seconds=created), expires=NOW.plus(seconds=left))
        for i, (created, left) in enumerate(made)
    ]
    gone = model.surplus(all_sessions, NOW, keep)
    stay = [one for one in all_sessions if one not in gone]
    assert len(stay) <= keep
    assert all(one.expires > NOW for one in stay)
    living_gone = [one for one in gone if one.expires > NOW]
    assert all(out.created_at <= kept.created_at for out in living_gone for kept in stay)
    assert len(stay) == min(keep, sum(one.expires > NOW for one in all_sessions))


def test_roles_grant_what_their_work_needs_and_nothing_else() -> None:
    """Money is for owners, managers and accountants; only the owner takes it out or manages staff."""
    may = model.ROLES
    assert may["worker"] == {"orders.read", "orders.serve"}
    assert may["accountant"] == {"balance.read", "statements.read"}
    assert [role for role in may if "redeem" in may[role]] == ["owner", "manager", "cashier"]
    assert [role for role in may if "withdrawals.request" in may[role]] == ["owner"]
    assert [role for role in may if "staff.manage" in may[role]] == ["owner"]
    assert all(permissions <= may["owner"] for permissions in may.values())


def test_codes_go_only_to_listed_countries() -> None:
    """The list is a setting; a number elsewhere is refused by its calling code."""
    assert model.check_country("+8613800000001", "+86, +852") == "+86"
    with pytest.raises(model.PhoneCountryUnsupported):
        model.check_country("+33612345678", "+86, +852")
