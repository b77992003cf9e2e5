"""What a row of each kind must state, and which way its units and its cash go. docs/importing.md shows
this table to users.
"""

from dataclasses import dataclass
from typing import Literal

Units = Literal["in", "out", "signed", "none"]  # signed: as stated, + into the account
Cash = Literal["in", "out", "signed", "none"]


@dataclass(frozen=True, slots=True)
class KindRule:
    """One kind as files name it. `kind` is the Transaction.kind it becomes."""

    kind: str
    units: Units
    cash: Cash
    needs_instrument: bool = False
    needs_quantity: bool = False
    needs_amount: bool = False  # cash_amount, or what it can be computed from


KIND_RULES: dict[str, KindRule] = {
    "buy": KindRule("buy", "in", "out", needs_instrument=True, needs_quantity=True, needs_amount=True),
    "sell": KindRule("sell", "out", "in", needs_instrument=True, needs_quantity=True, needs_amount=True),
    "dividend": KindRule("dividend", "none", "in", needs_instrument=True, needs_amount=True),
    "dividend_reversal": KindRule("dividend", "none", "out", needs_instrument=True, needs_amount=True),
    "interest": KindRule("interest", "none", "signed", needs_amount=True),
    "interest_charge": KindRule("interest", "none", "out", needs_amount=True),
    "fee": KindRule("fee", "none", "out", needs_amount=True),
    "fee_refund": KindRule("fee", "none", "in", needs_amount=True),
    "tax": KindRule("tax", "none", "out", needs_amount=True),
    "tax_refund": KindRule("tax", "none", "in", needs_amount=True),
    "deposit": KindRule("deposit", "none", "in", needs_amount=True),
    "withdrawal": KindRule("withdrawal", "none", "out", needs_amount=True),
    "transfer_in": KindRule("transfer_in", "in", "in"),
    "transfer_out": KindRule("transfer_out", "out", "out"),
    "split": KindRule("split", "signed", "none", needs_instrument=True),
    "spinoff": KindRule("spinoff", "in", "none", needs_instrument=True, needs_quantity=True),
    "stock_dividend": KindRule("stock_dividend", "in", "none", needs_instrument=True, needs_quantity=True),
    "reward": KindRule("reward", "in", "none", needs_instrument=True, needs_quantity=True),
    "rights": KindRule("rights", "signed", "signed", needs_instrument=True, needs_quantity=True),
    "merger": KindRule("merger", "signed", "signed", needs_instrument=True, needs_quantity=True),
    "symbol_change": KindRule("symbol_change", "signed", "none", needs_instrument=True, needs_quantity=True),
    "return_of_capital": KindRule("return_of_capital", "none", "in", needs_instrument=True, needs_amount=True),
    "exercise": KindRule("exercise", "signed", "signed", needs_instrument=True, needs_quantity=True),
    "expiry": KindRule("expiry", "signed", "signed", needs_instrument=True, needs_quantity=True),
    "fx": KindRule("fx", "none", "signed", needs_amount=True),
    "adjustment": KindRule("adjustment", "signed", "signed"),
}

# Words of other files for kinds, used where a user maps the columns; the generic layout takes its own names
# only.
KIND_WORDS = {
    "bought": "buy", "purchase": "buy", "you bought": "buy", "market buy": "buy", "limit buy": "buy",
    "buy to open": "buy",
    "b": "buy", "kauf": "buy", "koop": "buy", "aankoop": "buy", "achat": "buy", "compra": "buy",
    "acquisto": "buy", "köp": "buy",
    "köpt": "buy", "kjøp": "buy", "køb": "buy", "osto": "buy", "kupno": "buy",
    "sold": "sell", "sale": "sell", "you sold": "sell", "market sell": "sell", "limit sell": "sell",
    "s": "sell",
    "verkauf": "sell", "verkoop": "sell", "vente": "sell", "venta": "sell", "venda": "sell",
    "vendita": "sell", "sälj": "sell",
    "sålt": "sell", "salg": "sell", "myynti": "sell", "sprzedaż": "sell",
    "dividends": "dividend", "cash dividend": "dividend", "dividende": "dividend", "dividenden": "dividend",
    "dividendo": "dividend", "dividendi": "dividend", "utdelning": "dividend", "utbytte": "dividend",
    "udbytte": "dividend",
    "coupon": "interest", "interest payment": "interest", "credit interest": "interest", "zinsen": "interest",
    "rente": "interest", "intérêts": "interest", "ränta": "interest", "interessi": "interest",
    "fees": "fee", "commission": "fee", "charge": "fee", "gebühr": "fee", "gebühren": "fee", "kosten": "fee",
    "frais": "fee",
    "avgift": "fee", "taxes": "tax", "withholding tax": "tax", "steuer": "tax", "steuern": "tax",
    "impôt": "tax",
    "einzahlung": "deposit", "storting": "deposit", "dépôt": "deposit", "cash in": "deposit",
    "insättning": "deposit",
    "contribution": "deposit", "auszahlung": "withdrawal", "opname": "withdrawal", "retrait": "withdrawal",
    "withdraw": "withdrawal",
    "cash out": "withdrawal", "uttag": "withdrawal", "stock split": "split", "aktiensplit": "split",
    "staking": "reward", "staking reward": "reward", "airdrop": "reward", "rewards": "reward",
    "transfer in": "transfer_in", "transfer out": "transfer_out", "fx conversion": "fx",
    "currency conversion": "fx",
}  # fmt: skip


def known_kind(word: str) -> str:
    """A key of KIND_RULES for one of the names of this product ("Transfer In", "transfer-in"), or ""."""
    name = "_".join(word.strip().casefold().replace("-", " ").replace("_", " ").split())
    return name if name in KIND_RULES else ""


def kind_in_words(word: str) -> str:
    """A key of KIND_RULES for a word of another file, or ""."""
    return known_kind(word) or KIND_WORDS.get(" ".join(word.casefold().replace("_", " ").split()), "")
