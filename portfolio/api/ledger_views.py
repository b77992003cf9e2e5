"""Accounts, transactions, positions by hand and instruments: portfolio's edge on the ledger."""

from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, F, Func, QuerySet, TextField, Value
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.idempotency import idempotent
from accounts.models import User
from federation import selectors as federation
from federation import services as federation_services
from federation.models import BrokerAccount, Transaction
from ingestion.adapters.base import InstrumentRef
from ingestion.adapters.rows import RowProblem
from portfolio.api import filters, serializers
from portfolio.api.callers import EVERYBODY, caller, parsed_id
from portfolio.api.known_at import KNOWN_AT, NOT_READY, filters_hold, knowable
from portfolio.observations import reference_from
from portfolio.selectors.manual_positions import ManualPosition, manual_position, manual_positions
from portfolio.services import manual
from stackmotive.common.money import plain
from stackmotive.common.pagination import Ledger
from stackmotive.common.problems import BadRequest, FieldError, NotFound
from stackmotive.common.views import OwnedViewSet, accepted


@extend_schema_view(
    list=extend_schema(responses=serializers.AccountSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.AccountSerializer),
    destroy=extend_schema(responses={204: OpenApiResponse(description="Deleted: nothing spoke of it.")}),
)
class AccountViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """The caller's accounts."""

    tiers = EVERYBODY
    queryset = BrokerAccount.objects.all()
    serializer_class = serializers.AccountSerializer
    filterset_fields = ("kind", "currency")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[BrokerAccount]:
        if getattr(self, "swagger_fake_view", False):
            return BrokerAccount.objects.none()
        return federation.accounts(caller(self.request))

    @extend_schema(request=serializers.AccountRequestSerializer, responses={201: serializers.AccountSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.AccountRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        account = federation_services.create_account(user=caller(request), **asked.validated_data)
        address = reverse("api-account-detail", args=[account.pk], request=request)
        return Response(self.get_serializer(account).data, status=201, headers={"Location": address})

    @extend_schema(request=serializers.AccountRequestSerializer, responses=serializers.AccountSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        account: BrokerAccount = self.get_object()
        asked = serializers.AccountRequestSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        federation_services.update_account(account=account, **asked.validated_data)
        return Response(self.get_serializer(self.get_object()).data)

    def destroy(self, request: Request, pk: str) -> Response:
        federation_services.delete_account(account=self.get_object())
        return Response(status=204)


TRANSACTION_FIELDS = [
    name
    for name in serializers.TransactionSerializer.Meta.fields
    if name not in ("account_name", "symbol", "instrument_name", "decided_fields", "ledger_version")
]


def shown_rows(rows: QuerySet[Transaction], *, user: User) -> Any:
    """Rows as they are answered, in one query, without a model instance each."""
    return rows.values(
        *TRANSACTION_FIELDS,
        account_name=F("account__name"),
        symbol=F("instrument__symbol"),
        instrument_name=F("instrument__name"),
        decided_fields=Func(F("decided"), Value(","), function="string_to_array", output_field=ArrayField(TextField())),
        ledger_version=Value(federation.ledger_state(user.pk).ledger_version, output_field=BigIntegerField()),
    )


# What a row by hand may state, and the generic file's name for it.
STATED = {
    "trade_date": "trade_date", "traded_at": "traded_at", "settled_on": "settled_on", "kind": "kind",
    "quantity": "quantity", "price": "price", "currency": "currency", "fee": "fee", "fee_currency": "fee_currency",
    "tax": "tax", "cash_amount": "cash_amount", "cash_currency": "fx_currency", "fx_rate": "fx_rate", "ratio": "ratio",
    "group": "group", "note": "note",
}  # fmt: skip


@extend_schema_view(
    list=extend_schema(
        parameters=[KNOWN_AT], responses={200: serializers.TransactionSerializer(many=True), 202: NOT_READY}
    ),
    retrieve=extend_schema(responses=serializers.TransactionSerializer),
    destroy=extend_schema(responses={204: OpenApiResponse(description="Taken back: it never was.")}),
)
class TransactionViewSet(OwnedViewSet):
    """The ledger, newest first. Only rows typed by hand can be changed."""

    tiers = EVERYBODY
    queryset = Transaction.objects.all()
    serializer_class = serializers.TransactionSerializer
    filterset_class = filters.TransactionFilter
    pagination_class = Ledger
    counts_rows = True

    def get_queryset(self) -> QuerySet[Transaction]:
        if getattr(self, "swagger_fake_view", False):
            return Transaction.objects.none()
        return Transaction.objects.visible_to(caller(self.request)).order_by("-trade_date", "-position", "-id")

    def shown(self, rows: QuerySet[Transaction]) -> Any:
        return shown_rows(rows, user=caller(self.request))

    @knowable(filters_hold)
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.shown(self.filter_queryset(self.get_queryset())))
        return self.get_paginated_response(page)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self.shown(self.get_queryset().filter(pk=self.get_object().pk)).get())

    @extend_schema(request=serializers.TransactionRequestSerializer, responses={201: serializers.BookedSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.TransactionRequestSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        return self.booked(asked.validated_data, uid=None, status=201)

    @extend_schema(request=serializers.TransactionRequestSerializer, responses=serializers.BookedSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        row: Transaction = self.get_object()
        uid = manual.uid_of(row)
        asked = serializers.TransactionRequestSerializer(
            data=request.data, partial=True, context=self.get_serializer_context()
        )
        asked.is_valid(raise_exception=True)
        changed = dict(asked.validated_data)
        if "trade_date" in changed:  # the day decides; an instant of another day would contradict it
            changed.setdefault("traded_at", None)
        return self.booked(_as_stated(row, changed) | changed, uid=uid, status=200)

    def destroy(self, request: Request, pk: str) -> Response:
        manual.delete_transaction(user=caller(request), row=self.get_object())
        return Response(status=204)

    def booked(self, values: dict[str, Any], *, uid: UUID | None, status: int) -> Response:
        user, account = caller(self.request), values["account"]
        named = _instrument(user, values.get("instrument"), values["currency"])
        fields = {STATED[name]: _cell(value) for name, value in values.items() if name in STATED and value is not None}
        row = manual.transaction_row(fields=fields, instrument=named)
        done = manual.book_transaction(user=user, account=account, row=row, uid=uid)
        if done.id is None:
            address = reverse("api-transaction-detail", args=[done.uid], request=self.request)
            return accepted(
                {"id": done.uid, "status": "queued", "ledger_version": done.ledger_version}, location=address
            )
        body = self.shown(self.get_queryset().filter(pk=done.id)).get()
        body |= {"possible_duplicate_of": done.possible_duplicate_of, "matched_with": done.matched_with}
        address = reverse("api-transaction-detail", args=[done.id], request=self.request)
        return Response(body, status=status, headers={"Location": address})


def _cell(value: Any) -> str:
    if hasattr(value, "isoformat"):
        text: str = value.isoformat()
        return text
    return plain(value) if hasattr(value, "quantize") else str(value)


def _as_stated(row: Transaction, changed: dict[str, Any]) -> dict[str, Any]:
    """The values of a stored row that an edit keeps. Cash follows from what it is computed from, where that changes."""
    kept = {name: getattr(row, name) for name in STATED if name not in ("group", "traded_at")}
    if changed.keys() & {"quantity", "price", "fee", "tax", "kind", "currency", "instrument"}:
        kept["cash_amount"] = None
    if changed.keys() & {"kind"}:
        kept["quantity"] = None if row.quantity is None else abs(row.quantity)
    if row.cash_currency == row.currency:
        kept["cash_currency"] = None
    return kept | {"account": row.account, "instrument": row.instrument_id}


def _instrument(user: User, named: Any, currency: str) -> InstrumentRef | None:
    if named is None:
        return None
    if isinstance(named, UUID):
        instrument = federation.instruments(user).filter(pk=named).first()
        if instrument is None:
            raise BadRequest(
                "Nothing of yours has this id.",
                errors=[FieldError("#/instrument", "Nothing of yours has this id.", "does_not_exist")],
            )
        return manual.named_instrument(user=user, instrument=instrument, currency=currency)
    stated = {name: str(value) for name, value in named.items()}
    try:
        return reference_from(stated, currency=stated.get("currency") or currency)
    except RowProblem as problem:
        error = FieldError(f"#/instrument/{problem.field}", problem.detail, problem.code)
        raise BadRequest(problem.detail, errors=[error]) from problem


@extend_schema_view(destroy=extend_schema(responses={204: OpenApiResponse(description="It never was.")}))
class ManualPositionViewSet(OwnedViewSet):
    """Holdings by the caller's own word: each edit is a report of its day."""

    tiers = EVERYBODY
    queryset = Transaction.objects.none()
    serializer_class = serializers.ManualPositionSerializer
    filter_backends = []

    def found(self, pk: str) -> ManualPosition:
        row = manual_position(user=caller(self.request), id=parsed_id(pk))
        if row is None:
            raise NotFound
        return row

    @extend_schema(responses=serializers.ManualPositionSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(manual_positions(user=caller(request)))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self.get_serializer(self.found(pk)).data)

    @extend_schema(
        request=serializers.ManualPositionRequestSerializer, responses={201: serializers.ManualPositionSerializer}
    )
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.ManualPositionRequestSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        closed_on, named = values.pop("closed_on", None), values.pop("instrument")
        reference = _instrument(caller(request), named, values["currency"])
        if reference is None:
            raise BadRequest("Name the instrument.", errors=[FieldError("#/instrument", "Name the instrument.")])
        uid = manual.book_position(user=caller(request), instrument=reference, **values)
        if closed_on:
            manual.close_position(user=caller(request), position=self.found(str(uid)), closed_on=closed_on)
        address = reverse("api-manual-position-detail", args=[uid], request=request)
        return Response(self.get_serializer(self.found(str(uid))).data, status=201, headers={"Location": address})

    @extend_schema(request=serializers.ManualPositionRequestSerializer, responses=serializers.ManualPositionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        user, row = caller(request), self.found(pk)
        asked = serializers.ManualPositionRequestSerializer(
            data=request.data, partial=True, context=self.get_serializer_context()
        )
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        closed_on, named = values.pop("closed_on", None), values.pop("instrument", None)
        if values or named:
            kept = {name: getattr(row, name) for name in ("quantity", "cost_basis", "currency", "as_of")}
            account = BrokerAccount.objects.visible_to(user).get(pk=row.account)
            merged = {"account": account} | kept | values
            reference = _instrument(user, named, merged["currency"]) or manual.staged_reference(row.staged_id)
            manual.book_position(user=user, instrument=reference, uid=row.id, **merged)
        if closed_on:
            manual.close_position(user=user, position=self.found(pk), closed_on=closed_on)
        return Response(self.get_serializer(self.found(pk)).data)

    def destroy(self, request: Request, pk: str) -> Response:
        manual.delete_position(user=caller(request), position=self.found(pk))
        return Response(status=204)
