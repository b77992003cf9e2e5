"""What a change would do, in the words of the panel that asks before it is applied."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from federation.reasons import row_words
from federation.services.previewing import Preview, PreviewedPosition, PreviewedRow
from stackmotive.common.display import day_text, money_text, price_text, quantity_text

MOST_POSITIONS, MOST_ROWS = 8, 5
FIELDS = {
    "kind": "Kind", "trade_date": "Day", "quantity": "Quantity", "price": "Price", "currency": "Currency",
    "fee": "Fee", "tax": "Tax", "cash_amount": "Amount", "cash_currency": "Currency of the amount", "note": "Note",
}  # fmt: skip
PUBLIC = {"kind", "trade_date", "price", "currency", "cash_currency", "note"}
WHAT_ROWS_DO = (("comes in", "come in"), ("goes", "go"), ("changes", "change"))


@dataclass(frozen=True, slots=True)
class PreviewedChange:
    """A field of a row, in words. is_public: no amount."""

    label: str
    before: str
    after: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class PreviewedLine:
    """One row. sign: of what happens to it."""

    sign: str
    text: str
    account_name: str
    quantity: Decimal | None
    changes: tuple[PreviewedChange, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewCard:
    """summary: one sentence. left_out: rows and holdings beyond those that are listed."""

    summary: str
    changes_nothing: bool
    positions: tuple[PreviewedPosition, ...]
    lines: tuple[PreviewedLine, ...]
    left_out: int


def preview_card(found: Preview) -> PreviewCard:
    counts = (found.added_count, found.removed_count, found.changed_count)
    parts = [
        f"1 row {one}" if count == 1 else f"{count:,} rows {many}"
        for count, (one, many) in zip(counts, WHAT_ROWS_DO, strict=True)
        if count
    ]
    if found.opened:
        parts.append(f"{len(found.opened):,} disagreement{'s' if len(found.opened) != 1 else ''} would open")
    if found.closed:
        noun = "" if found.opened else f" disagreement{'s' if len(found.closed) != 1 else ''}"
        parts.append(f"{len(found.closed):,}{noun} would be settled")
    named = [("+", row) for row in found.added] + [("−", row) for row in found.removed]
    named += [("~", row) for row in found.changed]
    lines = tuple(line(sign, row) for sign, row in named[:MOST_ROWS])
    return PreviewCard(
        summary=", ".join(parts) + "." if parts else "Nothing in your ledger would change now.",
        changes_nothing=not parts,
        positions=tuple(found.positions[:MOST_POSITIONS]),
        lines=lines,
        left_out=max(0, sum(counts) - len(lines)),
    )


def line(sign: str, row: PreviewedRow) -> PreviewedLine:
    day = row.values["trade_date"]
    words = row_words(row.values["kind"], day) if isinstance(day, date) else str(row.values["kind"])
    name = f" of {row.symbol}" if row.symbol else ""
    what, on, when = words.partition(" on ")
    changes = tuple(change(field, old, row) for field, old in row.before.items() if field in FIELDS)
    quantity = None if changes else row.values.get("quantity")
    return PreviewedLine(sign, f"{what.capitalize()}{name}{on}{when}", row.account_name, quantity, changes)


def change(field: str, old: object, row: PreviewedRow) -> PreviewedChange:
    currency = str(row.values.get("currency", ""))
    cash = str(row.values.get("cash_currency", "")) or currency

    def shown(value: object) -> str:
        if value in (None, ""):
            return "none"
        if isinstance(value, date):
            return day_text(value)
        if not isinstance(value, Decimal):
            return str(value).replace("_", " ")
        if field == "price":
            return price_text(value, currency)
        return (
            quantity_text(value)
            if field == "quantity"
            else money_text(value, cash if field == "cash_amount" else currency)
        )

    return PreviewedChange(FIELDS[field], shown(old), shown(row.values.get(field)), field in PUBLIC)
