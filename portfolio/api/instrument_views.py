"""Instruments: what they are, what they are quoted at, how they did, and what the caller holds and notes of them."""

from typing import Any

from django.db.models import F, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent
from accounts.models import Tier
from accounts.permissions import AtLeast
from federation import selectors as federation
from federation.models import Instrument, InstrumentIdentifier
from portfolio import selectors
from portfolio.api import figure_serializers, filters
from portfolio.api.callers import EVERYBODY, caller, parsed_id
from portfolio.api.figure_views import POSITION_FIELDS, stored_fields
from portfolio.api.ledger_views import shown_rows
from portfolio.api.serializers import InstrumentSerializer, LotSerializer, TransactionSerializer
from portfolio.models import InstrumentNote, Lot
from portfolio.selectors import quotes
from stackmotive.common.fields import DayField, NumberField
from stackmotive.common.problems import NotFound
from stackmotive.common.views import ApiView, OwnedViewSet

MOST_FOUND = 50
MOST_ROWS = 50


class QuoteSerializer(serializers.Serializer[Any]):
    """The last close, in the currency's own unit. change: since the close before it."""

    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    listing = serializers.UUIDField()
    exchange = serializers.CharField()
    currency = serializers.CharField()
    price = NumberField()
    as_of = DayField()
    provider = serializers.CharField()
    age_days = serializers.IntegerField()
    is_stale = serializers.BooleanField()
    change = NumberField(allow_null=True)
    change_ratio = NumberField(allow_null=True)


class QuotesSerializer(serializers.Serializer[Any]):
    results = QuoteSerializer(many=True)


class CandleQuery(serializers.Serializer[Any]):
    interval = serializers.ChoiceField(quotes.INTERVALS, default="1d")
    to = DayField(required=False)

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": DayField(required=False)}


class CandleSerializer(serializers.Serializer[Any]):
    """Of the closes of the interval that begins on `date`; `count` of them."""

    date = DayField()
    open = NumberField()
    high = NumberField()
    low = NumberField()
    close = NumberField()
    count = serializers.IntegerField()


class CandlesSerializer(serializers.Serializer[Any]):
    interval = serializers.CharField()
    results = CandleSerializer(many=True)


class InstrumentFiguresSerializer(serializers.Serializer[Any]):
    """Of the instrument's own closes, without dividends (`basis`). Null has its reason in `reasons`."""

    instrument = serializers.UUIDField()
    listing = serializers.UUIDField(allow_null=True)
    currency = serializers.CharField()
    price = NumberField(allow_null=True)
    as_of = DayField(allow_null=True)
    changes = serializers.DictField(child=NumberField(allow_null=True))
    high_1y = NumberField(allow_null=True)
    low_1y = NumberField(allow_null=True)
    volatility_1y = NumberField(allow_null=True)
    max_drawdown_1y = NumberField(allow_null=True)
    n_obs = serializers.IntegerField()
    basis = serializers.CharField()
    reasons = serializers.DictField(child=serializers.CharField())


class HeldSerializer(serializers.Serializer[Any]):
    """What the caller holds of it: one position an account, all together, open lots, and the newest rows."""

    total = figure_serializers.PositionSerializer(allow_null=True)
    positions = figure_serializers.PositionSerializer(many=True)
    lots = LotSerializer(many=True)
    transactions = TransactionSerializer(many=True)


class NoteSerializer(serializers.ModelSerializer[InstrumentNote]):
    text = serializers.CharField(max_length=10_000)

    class Meta:
        model = InstrumentNote
        fields = ["id", "text", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]


SEARCHED = OpenApiParameter("q", str, required=True, description="Part of a symbol or name, or an ISIN.")


@extend_schema_view(
    list=extend_schema(responses=InstrumentSerializer(many=True)),
    retrieve=extend_schema(responses=InstrumentSerializer),
)
class InstrumentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """What the caller may name: their own instruments and the shared catalog."""

    tiers = EVERYBODY
    queryset = Instrument.objects.all()
    serializer_class = InstrumentSerializer
    filterset_class = filters.InstrumentFilter
    ordering_fields = ("symbol", "name")

    def get_queryset(self) -> QuerySet[Instrument]:
        if getattr(self, "swagger_fake_view", False):
            return Instrument.objects.none()
        return federation.instruments(caller(self.request)).prefetch_related("listings")

    @extend_schema(parameters=[SEARCHED], responses=InstrumentSerializer(many=True), filters=False)
    @action(detail=False, pagination_class=None)
    def search(self, request: Request) -> Response:
        """By symbol, name or ISIN; exact hits first, at most 50."""
        text = serializers.CharField(max_length=100).run_validation(request.query_params.get("q", "")).strip()
        known = InstrumentIdentifier.objects.filter(value__iexact=text).values("instrument")
        rows = self.get_queryset().filter(Q(symbol__icontains=text) | Q(name__icontains=text) | Q(pk__in=known))
        found = sorted(
            rows.distinct()[: MOST_FOUND * 10],
            key=lambda one: (
                one.symbol.lower() != text.lower(), not one.symbol.lower().startswith(text.lower()), one.symbol, str(one.pk)
            ),
        )  # fmt: skip
        return Response(self.get_serializer(found[:MOST_FOUND], many=True).data)

    @extend_schema(responses=QuoteSerializer)
    @action(detail=True)
    def price(self, request: Request, pk: str) -> Response:
        """Its last close, with its age and source; 404 where none is known."""
        instrument = self.get_object()
        found = quotes.latest_quotes(user=caller(request), wanted=[instrument.pk])
        if not found:
            raise NotFound("No price of this instrument is known. Record one at /api/portfolio/prices/.")
        return Response(found[0].as_dict())

    @extend_schema(parameters=[CandleQuery], responses=CandlesSerializer)
    @action(detail=True, tiers=AtLeast(read=Tier.NAVIGATOR, write=Tier.NAVIGATOR))
    def candles(self, request: Request, pk: str) -> Response:
        """Its closes by day, week or month."""
        instrument = self.get_object()
        query = CandleQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = quotes.candles(
            user=caller(request), instrument=instrument, interval=asked["interval"], start=asked.get("from"),
            end=asked.get("to"),
        )  # fmt: skip
        rows = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        return Response({"interval": asked["interval"], "results": rows})

    @extend_schema(responses=InstrumentFiguresSerializer)
    @action(detail=True)
    def analytics(self, request: Request, pk: str) -> Response:
        """How its own price did."""
        return Response(quotes.instrument_figures(user=caller(request), instrument=self.get_object()).as_dict())

    @extend_schema(
        parameters=[figure_serializers.PeriodQuery], responses=figure_serializers.PerformanceSerializer, filters=False
    )
    @action(detail=True)
    def performance(self, request: Request, pk: str) -> Response:
        """How the caller did with it: trades are its flows."""
        instrument = self.get_object()
        query = figure_serializers.PeriodQuery(data=request.query_params.dict(), context={"request": request})
        query.is_valid(raise_exception=True)
        asked = dict(query.validated_data)
        account = asked.get("account")
        found = selectors.performance(
            user=caller(request), instrument=instrument.pk, start=asked.get("from"), end=asked.get("to"),
            currency=asked.get("currency"), account=account.pk if account else None,
        )  # fmt: skip
        return Response(found.as_dict())

    @extend_schema(responses=HeldSerializer)
    @action(detail=True)
    def position(self, request: Request, pk: str) -> Response:
        """What the caller holds of it, where, since when and by which rows."""
        instrument = self.get_object()
        user = caller(request)
        rows = [one for one in selectors.positions(user=user) if one.instrument == instrument.pk]
        grouped = [
            one for one in selectors.positions(user=user, group_by="instrument") if one.instrument == instrument.pk
        ]
        lots = Lot.objects.visible_to(user).filter(instrument=instrument).order_by("acquired_on", "id")
        booked = federation.ledger(user).filter(instrument=instrument).order_by("-trade_date", "-position", "-id")
        return Response(
            {
                "total": {name: getattr(grouped[0], name) for name in POSITION_FIELDS} if grouped else None,
                "positions": [{name: getattr(one, name) for name in POSITION_FIELDS} for one in rows],
                "lots": list(
                    lots.values(
                        *stored_fields(LotSerializer), account_name=F("account__name"), symbol=F("instrument__symbol")
                    )
                ),
                "transactions": list(shown_rows(booked[:MOST_ROWS], user=user)),
            }
        )


class LatestPricesView(ApiView):
    """The last closes of what the caller holds, or of the instruments asked for."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[OpenApiParameter("instrument", str, many=True, description="Ids; none is all that is held.")],
        responses=QuotesSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params.getlist("instrument")
        wanted = {parsed_id(one) for one in asked[:500]} if asked else quotes.own_and_watched(caller(request))
        found = quotes.latest_quotes(user=caller(request), wanted=wanted)
        return Response({"results": [one.as_dict() for one in found]})


class MoversView(ApiView):
    """The largest moves of what the caller holds, between its last two closes."""

    tiers = EVERYBODY

    @extend_schema(responses=QuotesSerializer)
    def get(self, request: Request) -> Response:
        return Response({"results": [one.as_dict() for one in quotes.movers(user=caller(request))]})


@extend_schema_view(
    list=extend_schema(responses=NoteSerializer(many=True)),
    destroy=extend_schema(responses={204: OpenApiResponse(description="Gone.")}),
)
class NoteViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, OwnedViewSet):
    """The caller's own notes on an instrument, newest first."""

    tiers = EVERYBODY
    queryset = InstrumentNote.objects.all()
    serializer_class = NoteSerializer

    def get_queryset(self) -> QuerySet[InstrumentNote]:
        rows: QuerySet[InstrumentNote] = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(instrument=self._instrument()).order_by("-created_at", "-id")

    def _instrument(self) -> Instrument:
        found = federation.instruments(caller(self.request)).filter(pk=parsed_id(self.kwargs["instrument"])).first()
        if found is None:
            raise NotFound
        return found

    @extend_schema(request=NoteSerializer, responses={201: NoteSerializer})
    @idempotent
    def create(self, request: Request, instrument: str) -> Response:
        about = self._instrument()
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        asked.save(user=caller(request), instrument=about)
        return Response(asked.data, status=201)

    @extend_schema(request=NoteSerializer, responses={200: NoteSerializer})
    @idempotent
    def partial_update(self, request: Request, instrument: str, pk: str) -> Response:
        asked = self.get_serializer(self.get_object(), data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        asked.save()
        return Response(asked.data)
