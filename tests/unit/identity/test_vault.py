"""Personal data at rest."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.identity import vault

SECRETS = wiring.ports().secrets


@given(st.text(max_size=300))
def test_what_is_sealed_opens_again_for_its_owner(plain: str) -> None:
    """Any text, and never twice the same cipher text."""
    sealed = vault.seal(SECRETS, "acc_1", "phone", plain)
    assert vault.unseal(SECRETS, "acc_1", "phone", sealed) == plain
    assert sealed != vault.seal(SECRETS, "acc_1", "phone", plain)


@pytest.mark.parametrize(("owner", "purpose"), [("acc_2", "phone"), ("acc_1", "address")])
def test_a_sealed_text_says_nothing_under_another_owner_or_purpose(owner: str, purpose: str) -> None:
    """A row copied to another account stays shut."""
    sealed = vault.seal(SECRETS, "acc_1", "phone", "+8613800000001")
    with pytest.raises(InvalidTag):
        vault.unseal(SECRETS, owner, purpose, sealed)


def test_a_changed_cipher_text_is_refused() -> None:
    """One character is enough."""
    sealed = vault.seal(SECRETS, "acc_1", "phone", "+8613800000001")
    changed = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    with pytest.raises(InvalidTag):
        vault.unseal(SECRETS, "acc_1", "phone", changed)


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_keyed_hashes_are_equal_only_for_equal_parts(a: list[str], b: list[str]) -> None:
    """Where one part ends and the next begins counts too."""
    assert (vault.keyed_hash(SECRETS, "x", *a) == vault.keyed_hash(SECRETS, "x", *b)) == (a == b)
    assert vault.keyed_hash(SECRETS, "x", *a) != vault.keyed_hash(SECRETS, "y", *a)
