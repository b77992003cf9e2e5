"""Shape of notifications."""

from rest_framework import serializers

from notifications.models import Notification


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    class Meta:
        model = Notification
        fields = ["id", "kind", "severity", "title", "body", "data", "count", "created_at", "read_at"]
        read_only_fields = fields


class UnreadCountSerializer(serializers.Serializer[dict[str, int]]):
    unread = serializers.IntegerField()


class TestSerializer(serializers.Serializer[dict[str, object]]):
    message = serializers.CharField(max_length=1000)
    data = serializers.DictField(required=False, default=dict)  # type: ignore[assignment]  # the frame's own word
