"""The notification list and its read marks."""

from uuid import uuid4

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.models import Tier
from accounts.permissions import AtLeast
from notifications import selectors, services
from notifications.api import serializers
from notifications.models import Notification
from stackmotive.common.views import OwnedViewSet


class NotificationViewSet(mixins.ListModelMixin, OwnedViewSet):
    """What the caller was told, newest first."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.NAVIGATOR)
    queryset = Notification.objects.order_by("-created_at", "-id")
    serializer_class = serializers.NotificationSerializer
    filterset_fields = ("kind", "severity")

    @extend_schema(request=None, responses={200: serializers.NotificationSerializer})
    @action(detail=True, methods=["post"])
    def read(self, request: Request, pk: str) -> Response:
        """Mark one as read; again changes nothing."""
        row = self.get_object()
        services.mark_read(user_id=caller(request).pk, notification_id=row.pk)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None, responses={200: serializers.UnreadCountSerializer})
    @action(detail=False, methods=["post"], url_path="read-all")
    def read_all(self, request: Request) -> Response:
        """Mark all as read."""
        services.mark_all_read(user_id=caller(request).pk)
        return Response({"unread": 0})

    @extend_schema(responses={200: serializers.UnreadCountSerializer})
    @action(detail=False, methods=["get"], url_path="unread-count", filterset_fields=(), pagination_class=None)
    def unread_count(self, request: Request) -> Response:
        """How many are unread."""
        return Response({"unread": selectors.unread_count(user_id=caller(request).pk)})

    @extend_schema(request=serializers.TestSerializer, responses={201: serializers.NotificationSerializer})
    @action(detail=False, methods=["post"], tiers=AtLeast(read=Tier.OPERATOR, write=Tier.OPERATOR))
    def test(self, request: Request) -> Response:
        """Send yourself a notification; each is an object of its own and never merged with another."""
        asked = serializers.TestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        row = services.notify(
            user_id=caller(request).pk,
            kind="test",
            object_id=uuid4().hex,
            title="Test notification",
            body=asked.validated_data["message"],
            data=asked.validated_data["data"],
        )
        return Response(self.get_serializer(row).data, status=201)
