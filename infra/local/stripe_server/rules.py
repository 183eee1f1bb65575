"""Facts of the provider as tables: currencies, which method takes which, fees, refund windows, test cards, states.

Sources: Stripe's documentation on minimum amounts, Alipay, WeChat Pay and test payment methods. The fee schedule is
this server's own (2.9 % + 30 for cards, 2.2 % + 35 for wallets, in minor units, half-up).
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400
API_VERSION = "2026-10-28.endive"
MAX_AMOUNT = 99_999_999
WALLETS = ("alipay", "wechat_pay")
METHODS = ("card", *WALLETS)
SETTLES_AFTER_SECONDS = 2 * DAY_SECONDS

MINIMUM_AMOUNT: dict[str, int] = {
    "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "cny": 350, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "idr": 800000, "inr": 50, "jpy": 50, "krw": 700, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "php": 3000, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "twd": 1600,
    "usd": 50, "vnd": 12500, "zar": 900,
}  # fmt: skip

CURRENCIES_OF: dict[str, frozenset[str]] = {
    "card": frozenset(MINIMUM_AMOUNT),
    "alipay": frozenset(["aud", "cad", "cny", "eur", "gbp", "hkd", "jpy", "myr", "nzd", "sgd", "usd"]),
    "wechat_pay": frozenset(
        ["aud", "cad", "chf", "cny", "dkk", "eur", "gbp", "hkd", "jpy", "nok", "sek", "sgd", "usd"]
    ),
}

FEE_BPS = {"card": 290, "alipay": 220, "wechat_pay": 220}
FEE_FIXED = {"card": 30, "alipay": 35, "wechat_pay": 35}
REFUND_WINDOW_DAYS = {"alipay": 90, "wechat_pay": 180}

# Which state a PaymentIntent may reach from which; a terminal state has no row. A payment that is declined at once
# leaves its intent where it was.
INTENT_MOVES: dict[str, frozenset[str]] = {
    "requires_payment_method": frozenset(
        {
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "processing",
            "requires_capture",
            "succeeded",
            "canceled",
        }
    ),
    "requires_confirmation": frozenset(
        {"requires_payment_method", "requires_action", "processing", "requires_capture", "succeeded", "canceled"}
    ),
    "requires_action": frozenset(
        {"requires_payment_method", "requires_action", "processing", "requires_capture", "succeeded", "canceled"}
    ),
    "processing": frozenset({"requires_payment_method", "requires_capture", "succeeded"}),
    "requires_capture": frozenset({"succeeded", "canceled"}),
}
REFUND_MOVES: dict[str, frozenset[str]] = {
    "pending": frozenset({"succeeded", "failed"}),
    "succeeded": frozenset({"failed"}),
}


@dataclass(frozen=True)
class TestCard:
    """How one of Stripe's test payment methods behaves. `does`: pays, declines, authenticates or bounces refunds."""

    brand: str
    last4: str
    does: str
    decline_code: str | None = None


TEST_CARDS: dict[str, TestCard] = {
    "pm_card_visa": TestCard("visa", "4242", "pays"),
    "pm_card_mastercard": TestCard("mastercard", "4444", "pays"),
    "pm_card_unionpay": TestCard("unionpay", "0005", "pays"),
    "pm_card_chargeDeclined": TestCard("visa", "0002", "declines", "generic_decline"),
    "pm_card_visa_chargeDeclined": TestCard("visa", "0002", "declines", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": TestCard("visa", "9995", "declines", "insufficient_funds"),
    "pm_card_authenticationRequired": TestCard("visa", "3184", "authenticates"),
    "pm_card_refundFail": TestCard("visa", "5126", "bounces"),
}


def fee_of(method: str, amount: int) -> int:
    """The provider's fee in minor units for `amount` by `method`, rounded half-up."""
    return (amount * FEE_BPS[method] * 2 + 10_000) // 20_000 + FEE_FIXED[method]


def fits(method: str, currency: str, capture_method: str) -> bool:
    """Whether a method can pay in this currency and with this way of capturing (wallets cannot be authorised)."""
    if method not in METHODS or currency not in CURRENCIES_OF[method]:
        return False
    return method == "card" or capture_method != "manual"
