"""The instance's own secrets, made at the first start and kept in `keys.json`, for its owner's eyes alone."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from stackmotive.embedded.errors import StoreError


@dataclass(frozen=True, slots=True)
class Keys:
    """Application keys under the names of the environment, then the embedded servers' passwords."""

    DJANGO_SECRET_KEY: str
    JWT_SIGNING_KEY: str
    FIELD_ENCRYPTION_KEYS: str
    """`kid:base64` pairs, comma separated, the one that encrypts first; 32 bytes each."""
    postgres_superuser: str
    postgres_owner: str
    postgres_app: str
    valkey: str

    @classmethod
    def fresh(cls) -> "Keys":
        sealing = base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(
            DJANGO_SECRET_KEY=secrets.token_urlsafe(48),
            JWT_SIGNING_KEY=secrets.token_urlsafe(48),
            FIELD_ENCRYPTION_KEYS=f"k{secrets.token_hex(3)}:{sealing}",
            postgres_superuser=secrets.token_urlsafe(24),
            postgres_owner=secrets.token_urlsafe(24),
            postgres_app=secrets.token_urlsafe(24),
            valkey=secrets.token_urlsafe(24),
        )

    def environment(self) -> dict[str, str]:
        """The part that the settings read."""
        return {
            "DJANGO_SECRET_KEY": self.DJANGO_SECRET_KEY,
            "JWT_SIGNING_KEY": self.JWT_SIGNING_KEY,
            "FIELD_ENCRYPTION_KEYS": self.FIELD_ENCRYPTION_KEYS,
        }


def load_or_create(path: Path, *, needed: bool) -> Keys:
    """Read `path`, or write fresh keys there unless `needed`: data exists that only the old ones open."""
    try:
        return Keys(**json.loads(path.read_text()))
    except FileNotFoundError:
        if needed:
            raise StoreError(
                f"{path} is missing, and the data beside it cannot be read without it: put it back."
            ) from None
    except (ValueError, TypeError) as exc:
        raise StoreError(f"{path} is not a StackMotive key file: put the original back.") from exc
    keys = Keys.fresh()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(keys), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails if another command was first, whose keys then count
    except FileExistsError:
        return load_or_create(path, needed=True)
    finally:
        draft.unlink()
    return keys
