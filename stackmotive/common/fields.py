"""Serializer fields that every app uses: numbers, days and references to the caller's own rows."""

import datetime as dt
from decimal import Decimal
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet
from rest_framework import serializers

from stackmotive.common.money import RECORDED_DIGITS, RECORDED_PLACES, parse_number, plain

FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2200, 12, 31)


class NumberField(serializers.DecimalField):
    """A recorded number: a JSON string or number in, the shortest plain string out. Nothing is rounded in silence."""

    default_error_messages = {"invalid": 'Write a plain decimal number, such as "1200.5".'}

    def __init__(self, **named: Any) -> None:
        named.setdefault("max_digits", RECORDED_DIGITS)
        named.setdefault("decimal_places", RECORDED_PLACES)
        super().__init__(**named)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | Decimal):
            self.fail("invalid")
        text = str(data).strip()
        if len(text) > self.MAX_STRING_LENGTH:
            self.fail("max_string_length", max_length=self.MAX_STRING_LENGTH)
        try:
            value = parse_number(text)
        except ValueError:
            self.fail("invalid")
        return self.quantize(self.validate_precision(value))

    def validate_precision(self, value: Decimal) -> Decimal:
        """Trailing zeros are no precision: "1.50000000000000000000" is 1.5."""
        return super().validate_precision(Decimal(plain(value)) if abs(value.adjusted()) < 100 else value)

    def to_representation(self, value: Any) -> str:
        return plain(value if isinstance(value, Decimal) else Decimal(str(value)))


class DayField(serializers.DateField):
    """A calendar day, YYYY-MM-DD, from 1900 to 2200."""

    default_error_messages = {"range": "Write a day from 1900-01-01 to 2200-12-31."}

    def __init__(self, **named: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **named)

    def to_internal_value(self, value: Any) -> dt.date:
        if isinstance(value, str) and not value.isascii():
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(value)
        if not FIRST_DAY <= day <= LAST_DAY:
            self.fail("range")
        return day


class InstantField(serializers.DateTimeField):
    """A moment, ISO 8601, from 1900 to 2200; without an offset it is UTC. Answered in UTC with Z."""

    default_error_messages = {"range": "Write a moment from the years 1900 to 2200."}

    def __init__(self, **named: Any) -> None:
        super().__init__(default_timezone=dt.UTC, **named)

    def to_internal_value(self, value: Any) -> dt.datetime:
        moment = super().to_internal_value(value)
        if not FIRST_DAY <= moment.date() <= LAST_DAY:
            self.fail("range")
        return moment


class OwnedRelatedField(serializers.PrimaryKeyRelatedField):  # type: ignore[type-arg]
    """The id of a row that the caller may see. A foreign, a missing and a malformed id get the same answer.

    `queryset` needs a `visible_to(user)`, as every owned QuerySet of this project has.
    """

    default_error_messages = {"does_not_exist": "Nothing of yours has this id."}

    def get_queryset(self) -> QuerySet[Any] | None:
        queryset: Any = super().get_queryset()
        request = self.context.get("request")
        if queryset is None or request is None:
            return queryset  # type: ignore[no-any-return]
        if not request.user.is_authenticated:  # the schema generator's request
            return queryset.none()  # type: ignore[no-any-return]
        visible: QuerySet[Any] = queryset.visible_to(request.user)
        return visible

    def to_internal_value(self, data: Any) -> Model:
        queryset = self.get_queryset()
        try:
            if isinstance(data, bool) or not isinstance(data, str | int) or queryset is None:
                raise ValueError("not an id")
            row: Model = queryset.get(pk=data)
        except (ValueError, TypeError, OverflowError, ValidationError, ObjectDoesNotExist) as exc:
            raise serializers.ValidationError(self.error_messages["does_not_exist"], code="does_not_exist") from exc
        return row
