"""The beancount export: whatever the journal holds, beancount reads it without a complaint and counts the same."""

from __future__ import annotations

import io
from collections import defaultdict
from decimal import Decimal

from beancount import loader
from beancount.core.data import Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kernel.money import EXPONENTS
from chalicelib.ledger import model
from chalicelib.ledger.model import Entry, Leg
from infra.ops import journal
from tests.builders.ledger import NOW, Books

names = st.sampled_from(
    [
        "A.psp:stripe",
        "A.psp:wechat_pay",
        "L.escrow",
        "L.refund_payable",
        "L.merchant_pending:mch_7jjsjnf5qd7nbazhga1as9r574",
        "R.commission",
        "E.psp_fee",
        "X.fx",
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any balanced entry, with text that a careless writer would break on."""
    accounts = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    amounts = draw(
        st.lists(st.integers(-(10**9), 10**9).filter(bool), min_size=len(accounts) - 1, max_size=len(accounts) - 1)
    )
    if sum(amounts) == 0:
        amounts[0] += 1 if amounts[0] != -1 else 2
    amounts.append(-sum(amounts))
    return model.entry(
        draw(st.sampled_from(["captured", "earned", "provider_fee"])),
        draw(st.sampled_from(["ord_1", "txn_A9", "stm_2"])),
        draw(st.integers(0, 9)),
        at=NOW.plus(minutes=draw(st.integers(0, 10_000))),
        currency=draw(st.sampled_from(sorted(EXPONENTS))),
        legs=[Leg(name, amount) for name, amount in zip(accounts, amounts, strict=True) if amount],
        merchant_id="mch_7jjsjnf5qd7nbazhga1as9r574",
        ref=draw(st.sampled_from(["", "ch_1", 'a "quoted" ref', "back\\slash", "two\nlines", "支付"])),
        meta=draw(st.dictionaries(st.sampled_from(["bps", "zone", "Odd key!"]), st.integers() | st.text(max_size=9))),
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(entries(), max_size=8))
def test_beancount_reads_any_journal_and_counts_the_same(written: list[Entry]) -> None:
    """No error, one transaction an entry, and each account's sum is the journal's."""
    out = io.StringIO()
    assert journal.write(written, out) == len(written)
    directives, errors, _ = loader.load_string(out.getvalue())
    assert errors == []
    read: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    transactions = [found for found in directives if isinstance(found, Transaction)]
    for found in transactions:
        for posting in found.postings:
            read[posting.account, posting.units.currency] += posting.units.number
    booked: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in written:
        for leg in entry.legs:
            scale = Decimal(10) ** EXPONENTS[entry.currency]
            booked[journal.account(leg.account), entry.currency] += Decimal(leg.amount_minor) / scale
    assert len(transactions) == len(written)
    assert read == booked


def test_a_transaction_says_everything_that_the_entry_says() -> None:
    """Event, subject, time, merchant, meta and both hashes stand beside the legs."""
    order = Books(order_id="ord_1", merchant_id="mch_2", shop_id="shp_3")
    order.captured()
    earned = order.earned()
    assert journal.transaction(earned) == (
        '2026-11-22 * "earned" "ord_1" ^ord_1\n'
        '  id: "earned:ord_1:2"\n'
        '  at: "2026-11-22T10:00:01.000Z"\n'
        '  merchant: "mch_2"\n'
        '  shop: "shp_3"\n'
        "  meta-bps: 1200\n"
        '  meta-zone: "Asia/Shanghai"\n'
        f'  previous: "{order.entries[0].hash}"\n'
        f'  hash: "{earned.hash}"\n'
        "  Liabilities:Escrow  100.00 CNY\n"
        "  Liabilities:Merchant-pending:Mch-2  -88.00 CNY\n"
        "  Income:Commission  -12.00 CNY\n\n"
    )


def test_currencies_keep_their_own_decimals() -> None:
    """Yen have none, dinars three."""
    assert [journal.amount(-5, currency) for currency in ("CNY", "JPY", "KWD")] == ["-0.05 CNY", "-5 JPY", "-0.005 KWD"]
