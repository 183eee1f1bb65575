"""Every secret that Linli may ask for: the one list, which policies, deployment and checks are made from."""

from __future__ import annotations

from dataclasses import dataclass

KEY, GIVEN = "key", "given"


@dataclass(frozen=True)
class Secret:
    """`kind` is KEY, 32 random bytes in hex that are ours to make, or GIVEN, which another service shows to a person.

    An optional one is asked for and may be missing: it is there while a key is being replaced, or where a feature is
    used.
    """

    name: str
    kind: str
    says: str
    optional: bool = False


SECRETS = (
    Secret("token_key_1", KEY, "signs access tokens"),
    Secret("token_key_2", KEY, "signs access tokens after the next change of keys", optional=True),
    Secret("phone_key", KEY, "seals telephone numbers and addresses"),
    Secret("phone_key_2", KEY, "seals telephone numbers and addresses after the next change of keys", optional=True),
    Secret("blind_index_key", KEY, "finds an account by its telephone number; can never change"),
    Secret("quote_key", KEY, "signs quotes"),
    Secret("cursor_key", KEY, "seals the cursors of lists"),
    Secret("stripe_secret_key", GIVEN, "Stripe dashboard, Developers, API keys"),
    Secret("stripe_webhook_secret", GIVEN, "Stripe dashboard, Developers, Webhooks, the endpoint's signing secret"),
    Secret("stripe_webhook_secret_next", GIVEN, "the second signing secret, while one is being rolled", optional=True),
    Secret("wechat_app_id", GIVEN, "WeChat mini-program console, Development settings", optional=True),
    Secret("wechat_app_secret", GIVEN, "WeChat mini-program console, Development settings", optional=True),
)

NAMES = frozenset(secret.name for secret in SECRETS)
