"""POST /api/federation/preview/: what a change would do to the ledger, before it is made."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Tier, User
from accounts.permissions import AtLeast
from federation import services
from federation.models import BrokerAccount, Decision
from federation.services import Change, Preview
from ingestion.models import ImportRun, Source
from stackmotive.common.fields import NumberField, OwnedRelatedField
from stackmotive.common.money import plain
from stackmotive.common.views import ApiView

KINDS = ("import", "priority", "decision", "link", "enabled")
LARGEST_PRIORITY = 32_767


class PriorityPreviewSerializer(serializers.Serializer[Any]):
    source = OwnedRelatedField(queryset=Source.objects.all())  # type: ignore[assignment]  # the case's own word
    priority = serializers.IntegerField(min_value=0, max_value=LARGEST_PRIORITY)


class EnabledPreviewSerializer(serializers.Serializer[Any]):
    source = OwnedRelatedField(queryset=Source.objects.all())  # type: ignore[assignment]  # the case's own word
    enabled = serializers.BooleanField()


class DecisionPreviewSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Decision.Kind.choices)
    keys = serializers.DictField()
    value = serializers.DictField(required=False)


class LinkPreviewSerializer(serializers.Serializer[Any]):
    source = OwnedRelatedField(queryset=Source.objects.all())  # type: ignore[assignment]  # the case's own word
    reference = serializers.CharField(max_length=100, allow_blank=True)
    account = OwnedRelatedField(queryset=BrokerAccount.objects.all(), allow_null=True)


class PreviewRequestSerializer(serializers.Serializer[Any]):
    """Exactly one of the five."""

    priority = PriorityPreviewSerializer(required=False)
    enabled = EnabledPreviewSerializer(required=False)
    decision = DecisionPreviewSerializer(required=False)
    link = LinkPreviewSerializer(required=False)

    def get_fields(self) -> dict[str, Any]:
        about = "A dry run: what its file would do. Any other run: what its undo would do."
        return super().get_fields() | {
            "import": OwnedRelatedField(queryset=ImportRun.objects.all(), required=False, help_text=about)
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError(f"Say one of {', '.join(KINDS)}.")
        return attrs


class PreviewedRowSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    instrument = serializers.UUIDField(allow_null=True)
    symbol = serializers.CharField()
    values = serializers.SerializerMethodField()
    before = serializers.SerializerMethodField(help_text="What a changed row holds now, where it would differ.")

    def get_values(self, row: Any) -> dict[str, Any]:
        return _texts(row.values)

    def get_before(self, row: Any) -> dict[str, Any]:
        return _texts(row.before)


class PreviewedPositionSerializer(serializers.Serializer[Any]):
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    before = NumberField()
    after = NumberField()


class PreviewedConflictSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    key = serializers.CharField()
    effect_base = NumberField(allow_null=True)


class PreviewSerializer(serializers.Serializer[Preview]):
    """The rows are the first 200 of each; the counts are of all."""

    added_count = serializers.IntegerField()
    removed_count = serializers.IntegerField()
    changed_count = serializers.IntegerField()
    added = PreviewedRowSerializer(many=True)
    removed = PreviewedRowSerializer(many=True)
    changed = PreviewedRowSerializer(many=True)
    positions = PreviewedPositionSerializer(many=True)
    opened = PreviewedConflictSerializer(many=True)
    closed = PreviewedConflictSerializer(many=True)


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) if hasattr(value, "as_tuple") else value for name, value in values.items()}


def asked_change(request: Request, *, view: ApiView) -> Change:
    """What the body of a preview names. Raises ValidationError."""
    asked = PreviewRequestSerializer(data=request.data, context={"request": request, "view": view})
    asked.is_valid(raise_exception=True)
    ((about, said),) = asked.validated_data.items()
    user = request.user
    assert isinstance(user, User)  # noqa: S101  # closed to others
    if about == "import":
        return services.import_change(run=said)
    if about == "decision":
        return services.decision_change(user=user, **said)
    if about == "link":
        return services.link_change(user=user, **said)
    return services.source_change(source=said["source"], **{about: said[about]})


class PreviewView(ApiView):
    """What a change would do to the ledger. Nothing is changed."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)
    costly = {"post": "preview"}

    @extend_schema(request=PreviewRequestSerializer, responses={200: PreviewSerializer})
    def post(self, request: Request) -> Response:
        found = services.preview(asked_change(request, view=self))
        return Response(PreviewSerializer(found).data)
