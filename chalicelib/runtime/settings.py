"""All settings, read once from the environment. Every name starts with `LINLI_`; a bad one stops the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache


class SettingsError(Exception):
    """A setting is missing or malformed; the message is one line for the person who starts the process."""


_CHOICES = {
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "metrics": ("on", "off"),  # off costs nothing: a stage without alarms needs none
}


@dataclass(frozen=True)
class Settings:
    """Field `hold_seconds` is the variable `LINLI_HOLD_SECONDS`. Numbers carry their unit in the name."""

    stage: str = "local"
    surface: str = "all"  # which part of the code this deployment serves, see web.application
    version: str = "0.2.0"
    log_level: str = "INFO"
    metrics: str = "off"
    table_prefix: str = "linli-"
    public_url: str = "http://127.0.0.1:8000"
    clock_file: str = ""
    home_city: str = "sha"
    currency: str = "CNY"

    # Adapters, by class path `module:Class`.
    secrets: str = "chalicelib.providers.secrets.local:FileSecrets"
    sms: str = "chalicelib.providers.sms.local:Inbox"
    payments: str = "chalicelib.providers.payments.stripe:StripePayments"
    wechat_login: str = "chalicelib.providers.wechat_login.local:LocalUsers"
    files: str = "chalicelib.providers.files.local:Directory"
    photos: str = "chalicelib.providers.files.local_photos:LocalPhotos"
    texts: str = "chalicelib.providers.texts.rules:WordList"
    files_bucket: str = ".linli/files"  # a directory on one machine, the name of a bucket in the cloud
    photos_bucket: str = ".linli/photos"  # likewise
    photos_url: str = ""  # where photos are read from: a CDN before the bucket, or `/media` beside the API
    secrets_file: str = ".linli/secrets.json"  # in the cloud the path of the parameters, `/linli/<stage>/`
    secret_names: str = ""  # in the cloud the names that this function may read, with commas between
    sms_inbox: str = ".linli/sms.sqlite"
    stripe_base_url: str = ""

    # Identity
    access_token_seconds: int = 900
    refresh_token_seconds: int = 30 * 86_400
    refresh_grace_seconds: int = 30
    otp_seconds: int = 300
    otp_tries: int = 5
    otp_resend_seconds: int = 60
    otp_per_phone_day: int = 10
    otp_per_address_hour: int = 30
    otp_per_prefix_hour: int = 100  # numbers alike but for their last four digits
    otp_country_codes: str = "+86,+852,+853,+886,+1,+44,+65"
    sms_daily_budget: int = 10_000
    sms_country_budget: int = 1_000  # a day, for each country but the first of otp_country_codes
    sessions_per_account: int = 20
    sms_sender_id: str = "Linli"  # what the reader sees as sender where a country allows it, 1 to 11 characters
    notices_per_day: int = 30  # messages about orders to one account

    # Rate limits, calls in a minute (product.md N20)
    rate_account_minute: int = 600
    rate_address_minute: int = 1_200
    rate_lease: int = 20
    rate_uploads_minute: int = 30  # of one account

    # Booking and orders
    quote_seconds: int = 600
    hold_seconds: int = 900
    hold_extension_seconds: int = 900
    provider_silence_seconds: int = 300
    processing_release_seconds: int = 1800
    accept_seconds: int = 86_400
    auto_complete_seconds: int = 48 * 3600
    no_show_after_seconds: int = 900
    attempt_stale_seconds: int = 3
    due_shards: int = 4
    journal_shards: int = 4

    # Search
    search_bytes: int = 400_000_000  # what the cities that a process holds may take of its memory

    # Settlement and reconciliation
    settle_after_days: int = 1
    provider_lag_seconds: int = 2 * 3600

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Raises SettingsError for a number that is none, an empty text, and a word that is not among its choices.
        Other `LINLI_` names are our tools'."""
        known = {f"LINLI_{field.name.upper()}": field for field in fields(cls)}
        values: dict[str, str | int] = {}
        for name, text in environ.items():
            if name not in known:
                continue
            field = known[name]
            if field.type == "int":
                if not text.isdecimal():
                    raise SettingsError(f"{name} must be a whole number, not {text!r}")
                values[field.name] = int(text)
            else:
                if not text:
                    raise SettingsError(f"{name} is empty")
                if text not in _CHOICES.get(field.name, (text,)):
                    raise SettingsError(f"{name} must be one of {', '.join(_CHOICES[field.name])}, not {text!r}")
                values[field.name] = text
        return cls(**values)  # type: ignore[arg-type]  # values are typed by the loop above


@lru_cache(maxsize=1)
def settings() -> Settings:
    return Settings.from_env()
