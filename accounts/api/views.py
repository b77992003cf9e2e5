"""Signing up, logging in and out, and the caller's own data."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors, services
from accounts.api import serializers
from accounts.authentication import caller
from accounts.errors import WrongLogin
from accounts.models import LoginSession, LoginSessionQuerySet, Tier
from accounts.permissions import AtLeast
from stackmotive.common.limits import client_address
from stackmotive.common.views import ApiView, OwnedViewSet, Public

ANY_TIER = AtLeast(read=Tier.OBSERVER, write=Tier.OBSERVER)


class RegisterView(ApiView):
    """Sign up. The answer is the same whether or not the e-mail is known."""

    tiers = Public
    authentication_classes = ()

    @extend_schema(request=serializers.RegisterSerializer, responses={201: serializers.RegisteredSerializer})
    def post(self, request: Request) -> Response:
        asked = serializers.RegisterSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.register(email=asked.validated_data["email"], password=asked.validated_data["password"])
        return Response({"email": asked.validated_data["email"]}, status=201)


class TokenView(ApiView):
    """Log in: an access token and a refresh token of a new session."""

    tiers = Public
    authentication_classes = ()

    @extend_schema(request=serializers.LoginSerializer, responses={200: serializers.TokensSerializer})
    def post(self, request: Request) -> Response:
        asked = serializers.LoginSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        address = client_address(request._request)
        user = services.verified_user(**asked.validated_data, address=address)
        if user is None:
            raise WrongLogin("Check both, then try again.")
        session = services.open_session(user=user, address=address, device=request.headers.get("User-Agent", ""))
        return Response(serializers.TokensSerializer(services.tokens_of(session)).data)


class RefreshView(ApiView):
    """Exchange the refresh token for new tokens. A refresh token works once; using it again ends its session."""

    tiers = Public
    authentication_classes = ()

    @extend_schema(request=serializers.RefreshSerializer, responses={200: serializers.TokensSerializer})
    def post(self, request: Request) -> Response:
        asked = serializers.RefreshSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        tokens = services.refresh_session(refresh=asked.validated_data["refresh"])
        return Response(serializers.TokensSerializer(tokens).data)


class LogoutView(ApiView):
    """End the session of a refresh token: its access tokens and sockets stop at once."""

    tiers = ANY_TIER

    @extend_schema(
        request=serializers.RefreshSerializer, responses={204: OpenApiResponse(description="The session has ended.")}
    )
    def post(self, request: Request) -> Response:
        asked = serializers.RefreshSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.log_out(user=caller(request), refresh=asked.validated_data["refresh"])
        return Response(status=204)


class LogoutAllView(ApiView):
    """End all sessions of the caller, this one included."""

    tiers = ANY_TIER

    @extend_schema(request=None, responses={204: OpenApiResponse(description="All sessions have ended.")})
    def post(self, request: Request) -> Response:
        services.log_out_everywhere(user=caller(request))
        return Response(status=204)


class TicketView(ApiView):
    """A ticket that opens one websocket within 30 seconds."""

    tiers = ANY_TIER

    @extend_schema(request=None, responses={200: serializers.TicketSerializer})
    def post(self, request: Request) -> Response:
        return Response({"ticket": services.issue_ws_ticket(session=request.auth)})  # type: ignore[arg-type]


class MeView(ApiView):
    """The caller: tier, limits, the currency that figures are in and the zone that decides "today"."""

    tiers = ANY_TIER

    @extend_schema(responses={200: serializers.MeSerializer})
    def get(self, request: Request) -> Response:
        return Response(serializers.MeSerializer(caller(request)).data)

    @extend_schema(request=serializers.MeChangeSerializer, responses={200: serializers.MeSerializer})
    def patch(self, request: Request) -> Response:
        asked = serializers.MeChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted: dict[str, Any] = asked.validated_data
        user = services.change_settings(
            user=caller(request),
            base_currency=wanted.get("base_currency"),
            timezone_name=wanted.get("timezone"),
        )
        return Response(serializers.MeSerializer(user).data)


class TierListView(ApiView):
    """All tiers with what they may do and how much of it."""

    tiers = Public
    authentication_classes = ()

    @extend_schema(responses={200: serializers.TierListSerializer})
    def get(self, request: Request) -> Response:
        tiers = {"count": len(Tier), "next": None, "previous": None, "results": list(Tier)}
        return Response(serializers.TierListSerializer(tiers).data)


class LoginSessionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, OwnedViewSet):
    """The devices that are logged in. Deleting one logs it out at once."""

    tiers = ANY_TIER
    queryset = LoginSession.objects.none()
    serializer_class = serializers.LoginSessionSerializer

    def get_queryset(self) -> LoginSessionQuerySet:
        if getattr(self, "swagger_fake_view", False):
            return LoginSession.objects.none()
        return selectors.login_sessions(user=caller(self.request))

    def perform_destroy(self, instance: LoginSession) -> None:
        services.end_session(session_id=instance.pk, user_id=instance.user_id, reason="ended_by_user")
