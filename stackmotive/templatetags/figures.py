"""Figures in templates: every amount can be hidden by one key, every direction is an arrow and a sign too."""

import re
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from stackmotive.common import display

register = template.Library()


def unknown(reason: str) -> SafeString:
    return format_html('<span class="none" title="{}">—<span class="sr"> {}</span></span>', reason, reason)


def hideable(text: str) -> SafeString:
    return format_html('<span class="amt"><span>{}</span></span>', text)


@register.simple_tag
def amount(text: str) -> SafeString:
    """An amount that is in words already."""
    return hideable(text)


@register.simple_tag(takes_context=True)
def opens(context: template.Context, figure: str, **about: object) -> str:
    """The address at which a figure of this page opens: of the account and in the currency that it shows."""
    filters: Any = context.get("filters")
    words = {"figure": figure} | {name: str(value) for name, value in about.items() if value}
    if getattr(filters, "account", "") and "account" not in words:
        words["account"] = filters.account
    if getattr(filters, "currency_asked", False):
        words["currency"] = filters.currency
    return f"{reverse('explain')}?{urlencode(words)}"


AMOUNTS = re.compile(
    r"[+\u2212]?(?:[€$£¥₹₩₪]|[A-Z]{3}\u00a0)\d[\d,]*(?:\.\d+)?|[+\u2212]?\d[\d,]*(?:\.\d+)?(?= [A-Z]{2})"
)


@register.filter
def amounts(sentence: str) -> SafeString:
    """A sentence whose money and quantities ("3 KO") are hidden with the others."""
    parts, end = [], 0
    for found in AMOUNTS.finditer(sentence):
        parts += [conditional_escape(sentence[end : found.start()]), hideable(found[0])]
        end = found.end()
    return mark_safe("".join([*parts, conditional_escape(sentence[end:])]))  # noqa: S308  # every part is escaped


@register.simple_tag
def money(
    value: Decimal | None,
    currency: str,
    *,
    signed: bool = False,
    reason: str = "not known",
    digits: int | None = None,
) -> SafeString:
    if value is None:
        return unknown(reason)
    return hideable(display.money_text(value, currency, signed=signed, digits=digits))


@register.simple_tag
def headline(value: Decimal | None, currency: str, *, reason: str = "not known") -> SafeString:
    """An amount whose minor unit is set smaller."""
    if value is None:
        return unknown(reason)
    whole, point, minor = display.money_text(value, currency).partition(".")
    return format_html('<span class="amt"><span>{}<span class="minor">{}{}</span></span></span>', whole, point, minor)


@register.simple_tag
def price(value: Decimal | None, currency: str, *, reason: str = "no price") -> SafeString:
    """A price is public, so it stays when amounts are hidden."""
    return unknown(reason) if value is None else format_html("{}", display.price_text(value, currency))


@register.simple_tag
def quantity(value: Decimal | None, *, signed: bool = False) -> SafeString:
    return unknown("not known") if value is None else hideable(display.quantity_text(value, signed=signed))


@register.simple_tag
def percent(value: Decimal | None, *, digits: int = 2, reason: str = "not known") -> SafeString:
    return unknown(reason) if value is None else format_html("{}", display.percent_text(value, digits=digits))


def moved(value: Decimal, content: SafeString) -> SafeString:
    if not value:
        return format_html('<span class="chg muted">{}</span>', content)
    way, arrow = ("up", "▲") if value > 0 else ("down", "▼")
    return format_html(
        '<span class="chg {}"><span class="arrow" aria-hidden="true">{}</span> {}</span>', way, arrow, content
    )


@register.simple_tag
def change(value: Decimal | None, currency: str, *, reason: str = "not known") -> SafeString:
    if value is None:
        return unknown(reason)
    return moved(value, hideable(display.money_text(value, currency, signed=True)))


@register.simple_tag
def change_percent(value: Decimal | None, *, reason: str = "not known") -> SafeString:
    if value is None:
        return unknown(reason)
    return moved(value, format_html("{}", display.percent_text(value, signed=True)))


@register.filter
def direction(value: Decimal | None) -> str:
    """The class of a pill or line: up, down or nothing."""
    if not value:
        return ""
    return "up" if value > 0 else "down"


@register.simple_tag
def day(value: date | None, *, reason: str = "never") -> SafeString:
    if value is None:
        return unknown(reason)
    return format_html('<time datetime="{}" class="nowrap">{}</time>', value.isoformat()[:10], display.day_text(value))


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    return format_html('<svg class="i {}" viewBox="0 0 24 24" aria-hidden="true"><use href="#i-{}"/></svg>', size, name)


@register.simple_tag
def meter(share: Decimal | None) -> SafeString:
    """A share of one as a bar; drawn as SVG because the content policy allows no inline style."""
    if share is None:
        return mark_safe("")
    width = max(Decimal(0), min(Decimal(100), share * 100))
    return format_html(
        '<svg class="meter" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="5" rx="0"/></svg>',
        f"{width:.1f}",
    )
