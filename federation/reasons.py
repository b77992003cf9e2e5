"""Why a source was believed, and what a row is, in words a person reads. No sentence holds an amount."""

from datetime import date

from stackmotive.common.display import day_text

ROW_WORDS = {
    "buy": "purchase",
    "sell": "sale",
    "interest": "interest payment",
    "fee": "fee",
    "tax": "tax payment",
    "transfer_in": "transfer in",
    "transfer_out": "transfer out",
    "symbol_change": "change of symbol",
    "return_of_capital": "return of capital",
    "stock_dividend": "dividend in shares",
    "fx": "currency exchange",
    "spinoff": "spin-off",
    "rights": "rights issue",
    "exercise": "exercise of an option",
    "expiry": "expiry of an option",
    "adjustment": "unexplained difference",
}
ANOTHER = "another source"
FIELD_WORDS = {"price": "Price", "fee": "Fee", "tax": "Tax", "cash_amount": "Amount", "quantity": "Quantity"}


def row_words(kind: str, day: date) -> str:
    """`"buy", 2024-02-29` is "purchase on 29 Feb 2024"."""
    return f"{ROW_WORDS.get(kind) or kind.replace('_', ' ')} on {day_text(day)}"


def with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def reason(rule: str, *, winner: str, loser: str = ANOTHER) -> str:
    """The rule that decided, as a sentence about the two sources' names."""
    if rule == "decision" and not winner:
        return "You set the value yourself."
    winner, loser = f"“{winner}”", loser if loser == ANOTHER else f"“{loser}”"
    match rule:
        case "decision":
            return f"You decided to believe {winner}."
        case "freshness":
            return f"{winner} is newer: what {loser} says is too old to count beside it."
        case "priority":
            return f"{winner} stands before {loser} in your order of sources."
        case "as_of":
            return f"Both have the same priority, and {winner} reports the later day."
        case "confidence":
            return f"Both have the same priority, and {winner} is the more reliable kind of source."
        case "source_id":
            return f"Nothing else tells them apart, so {winner}, which you added first, is believed."
        case "only_source":
            return f"Only {winner} says anything about it."
        case "owned_day":
            return f"{winner} covers this day as a whole and has no such row, so it is not booked."
        case "edition_before":
            return "The statement before it stays in force until you say otherwise."
        case "":
            return "No rule decides this one."
        case _:
            return f"{winner} is believed ({rule.replace('_', ' ')})."


def claim_reason(rule: str, *, winner: str) -> str:
    """Why a claim that did not give its values belongs to the same row."""
    winner = f"“{winner}”"
    match rule:
        case "repeated":
            return "Says the same thing once more."
        case "shared_id":
            return f"The same row: it carries the same reference as the row of {winner}."
        case "exact":
            return f"The same row: day, quantity and money are those of {winner}."
        case "close_price":
            return f"The same row: day and quantity are those of {winner}, and the price is close."
        case "bundle":
            return f"A part: together the parts make the row of {winner}."
        case "day_apart":
            return f"The same row, booked a few days apart from that of {winner}."
        case "decision":
            return "The same row, because you said so."
        case _:
            return f"The same row as that of {winner}."
