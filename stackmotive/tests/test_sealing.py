import base64
import os
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from stackmotive.common.sealing import KeyUnknown, SealBroken, seal, sealed_with, unseal

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))


def test_what_was_sealed_opens_for_its_owner_only(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    sealed = seal(b"the token", context="source:anna:7")
    assert b"token" not in sealed
    assert sealed_with(sealed) == "new"
    assert unseal(sealed, context="source:anna:7") == b"the token"
    with pytest.raises(SealBroken):
        unseal(sealed, context="source:bert:7")


def test_the_same_secret_is_sealed_differently_each_time(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert seal(b"x", context="c") != seal(b"x", context="c")


def test_older_keys_open_and_the_newest_seals(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    sealed = seal(b"x", context="c")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert unseal(sealed, context="c") == b"x"
    assert sealed_with(seal(b"x", context="c")) == "new"
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(KeyUnknown):
        unseal(sealed, context="c")


def test_every_changed_byte_is_noticed(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    sealed = seal(b"secret", context="c")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(SealBroken):
            unseal(bytes(changed), context="c")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            unseal(sealed[:length], context="c")


def test_noise_does_not_open(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    for size in (0, 1, 3, 40, 400):
        with pytest.raises(SealBroken):
            unseal(b"S1" + os.urandom(size), context="c")


@pytest.mark.parametrize(
    "entry", ["no colon", "short:" + base64.b64encode(b"x" * 16).decode(), ":" + NEW.partition(":")[2], "k:!!"]
)
def test_odd_keys_stop_with_a_sentence(settings: Any, entry: str) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [entry]
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEYS"):
        seal(b"x", context="c")
