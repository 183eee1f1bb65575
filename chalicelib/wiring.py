"""Chooses adapters by setting, lazily: the only importer of adapters."""

from __future__ import annotations

from functools import cached_property, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chalicelib.runtime.settings import SettingsError, settings

if TYPE_CHECKING:
    from chalicelib.providers.ports import (
        FileStore,
        PaymentProvider,
        Photos,
        Secrets,
        SmsSender,
        TextCheck,
        WechatLogin,
    )


def _load(class_path: str, *arguments: Any) -> Any:
    module, _, name = class_path.partition(":")
    try:
        return getattr(import_module(module), name)(*arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"{class_path!r} is not a usable adapter: {error}") from error


class Adapters:
    """The adapters of this process, each made at its first use. Satisfies `ports.Ports`."""

    @cached_property
    def secrets(self) -> Secrets:
        adapter: Secrets = _load(settings().secrets, settings().secrets_file)
        return adapter

    @cached_property
    def sms(self) -> SmsSender:
        adapter: SmsSender = _load(settings().sms)
        return adapter

    @cached_property
    def payments(self) -> PaymentProvider:
        adapter: PaymentProvider = _load(settings().payments, self.secrets, settings().stripe_base_url)
        return adapter

    @cached_property
    def wechat_login(self) -> WechatLogin:
        adapter: WechatLogin = _load(settings().wechat_login, self.secrets)
        return adapter

    @cached_property
    def files(self) -> FileStore:
        adapter: FileStore = _load(settings().files, settings().files_bucket)
        return adapter

    @cached_property
    def photos(self) -> Photos:
        adapter: Photos = _load(settings().photos, settings().photos_bucket, self.secrets)
        return adapter

    @cached_property
    def texts(self) -> TextCheck:
        adapter: TextCheck = _load(settings().texts)
        return adapter


@lru_cache(maxsize=1)
def ports() -> Adapters:
    return Adapters()


def memberships(account_id: str) -> list[Any]:
    """Where an account works: `identity.service.memberships`, reached from here so that `web` need not know slices."""
    from chalicelib.identity import service

    return list(service.memberships(account_id))
