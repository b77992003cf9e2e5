"""Log-in by e-mail and password for pages and the admin; every attempt is counted (accounts.services)."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from accounts.services import verified_user
from stackmotive.common.limits import client_address


class PasswordBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **named: Any
    ) -> User | None:
        email = username or named.get(User.USERNAME_FIELD)
        if not email or password is None:
            return None
        return verified_user(email=email, password=password, address=client_address(request) if request else "local")
