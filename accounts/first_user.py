"""The owner of a new installation: made once, by whoever saw the terminal that started it."""

from django.core.signing import BadSignature, TimestampSigner
from django.db import connection, transaction

from accounts.errors import SetupEnded
from accounts.models import Tier, User
from accounts.services import change_settings, create_user

LIFETIME = 30 * 60
SALT = "setup"


def setup_is_open(token: str) -> bool:
    """Whether `token` is a set-up link of the last 30 minutes and nobody has used one yet."""
    try:
        TimestampSigner(salt=SALT).unsign(token, max_age=LIFETIME)
    except BadSignature:
        return False
    return not User.objects.exists()


@transaction.atomic
def create_first_user(*, email: str, password: str, base_currency: str, timezone_name: str) -> User:
    """The owner: sovereign and staff. Raises SetupEnded where a user exists, and ValidationError."""
    with connection.cursor() as cursor:  # two forms sent at once must not make two owners
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('first user', 0))")
    if User.objects.exists():
        raise SetupEnded("Log in, or ask the owner for an account.")
    user = create_user(email=email, password=password, tier=Tier.SOVEREIGN, is_staff=True)
    return change_settings(user=user, base_currency=base_currency, timezone_name=timezone_name)
