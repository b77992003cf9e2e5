"""Browser pages of accounts: log in and out, and the first account of an installation."""

from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.authentication import browser_session
from accounts.errors import SetupEnded, SignupClosed
from accounts.first_user import create_first_user, setup_is_open
from accounts.models import User
from accounts.services import LONGEST_PASSWORD, normalized_email, register
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.problems import TooManyRequests

CURRENCIES_FIRST = ("EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "SEK")


def safe_next(request: HttpRequest, address: str) -> str:
    """`address` where it is a page of ours, else the first page."""
    is_ours = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return address if is_ours else settings.LOGIN_REDIRECT_URL


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        onward = safe_next(request, request.GET.get("next", ""))
        if browser_session(request):
            return HttpResponseRedirect(onward)
        return render(request, "accounts/login.html", {"next": onward, "may_register": settings.SIGNUP_OPEN})
    onward, email = safe_next(request, request.POST.get("next", "")), request.POST.get("email", "")
    context = {
        "next": onward,
        "email": email[:254],
        "error": "E-mail or password is wrong. Check both, then try again.",
    }
    try:
        user = authenticate(request, username=email, password=request.POST.get("password", ""))
    except TooManyRequests as exc:
        response = render(request, "accounts/login.html", context | {"error": exc.detail}, status=429)
        response["Retry-After"] = exc.headers["Retry-After"]
        return response
    if not isinstance(user, User):
        return render(request, "accounts/login.html", context, status=401)
    login(request, user)
    return HttpResponseRedirect(onward)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask for an account. The answer is the same whether or not the e-mail is known."""
    if not settings.SIGNUP_OPEN:
        raise SignupClosed("Ask the person who runs this instance for an account.")
    if request.method != "POST":
        return render(request, "accounts/register.html")
    email, password = request.POST.get("email", ""), request.POST.get("password", "")
    try:
        validate_email(email)
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(f"A password has at most {LONGEST_PASSWORD} characters.")
        validate_password(password, User(email=normalized_email(email)))
    except ValidationError as exc:
        return render(request, "accounts/register.html", {"email": email[:254], "errors": exc.messages}, status=400)
    register(email=email, password=password)
    return render(request, "accounts/login.html", {"email": email, "note": "Your account is ready. Log in with it."})


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect(settings.LOGIN_URL)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """Make the owner's account and log them in. An old, used or made-up link says that it has ended."""
    if not setup_is_open(token):
        return render(request, "accounts/setup.html", {"expired": True}, status=410)
    form = {
        "email": request.POST.get("email", "")[:254],
        "base_currency": request.POST.get("base_currency", "EUR"),
        "timezone": request.POST.get("timezone", "UTC"),
    }
    errors: list[str] = []
    if request.method == "POST":
        errors = chosen_wrongly(form)
        if not errors:
            try:
                user = create_first_user(
                    email=form["email"],
                    password=request.POST.get("password", ""),
                    base_currency=form["base_currency"],
                    timezone_name=form["timezone"],
                )
            except SetupEnded:
                return render(request, "accounts/setup.html", {"expired": True}, status=410)
            except ValidationError as exc:
                errors = exc.messages
            else:
                login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
                return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)
    others = sorted(ISO_4217 - set(CURRENCIES_FIRST))
    context = {
        "form": form,
        "errors": errors,
        "currencies": [*CURRENCIES_FIRST, *others],
        "timezones": sorted(available_timezones()),
    }
    return render(request, "accounts/setup.html", context, status=400 if errors else 200)


def chosen_wrongly(form: dict[str, str]) -> list[str]:
    """What is wrong with the choices that have a list, in words."""
    errors = []
    if form["base_currency"] not in ISO_4217:
        errors.append("Choose a currency from the list.")
    if form["timezone"] not in available_timezones():
        errors.append("Choose a time zone from the list, such as Europe/Zurich.")
    return errors


urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", log_in, name="login"),
    path("register/", sign_up, name="sign-up"),
    path("logout/", log_out, name="logout"),
    path("setup/<str:token>/", set_up, name="setup"),
]
