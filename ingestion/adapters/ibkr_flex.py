"""IBKR Flex statements (XML): one pass over the elements, memory flat; a bad row is a problem, never a
lost statement.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from ingestion.adapters.base import (
    Completeness,
    CoverageRow,
    FileRefused,
    Head,
    Ignored,
    ParseOptions,
    Problem,
    Progress,
    Section,
    Statement,
)
from ingestion.adapters.flex_sections import FlexSections
from ingestion.adapters.flex_trades import FlexTrades
from ingestion.adapters.flex_values import NOTHING, FlexValues
from ingestion.adapters.rows import RAW_CHARACTERS, RowProblem
from ingestion.adapters.xml_reading import read_elements
from stackmotive.common.currencies import ISO_4217

BROKER_ZONE = ZoneInfo("America/New_York")  # statements name no zone; assumed for whenGenerated only

# Section element -> (what it covers, its row element, the level of detail that counts).
READ_SECTIONS: Mapping[str, tuple[Section | None, str, str]] = {
    "Trades": ("transactions", "Trade", "EXECUTION"),
    "CashTransactions": ("transactions", "CashTransaction", "DETAIL"),
    "CorporateActions": ("transactions", "CorporateAction", "DETAIL"),
    "Transfers": ("transactions", "Transfer", ""),
    "SalesTaxes": ("transactions", "SalesTax", ""),
    "OpenPositions": ("positions", "OpenPosition", "SUMMARY"),
    "CashReport": ("cash", "CashReportCurrency", ""),
    "ConversionRates": (None, "ConversionRate", ""),
}
LEVEL_WORDS = {"Trades": "Executions", "OpenPositions": "Summary", "CashTransactions": "Detail"}


class IbkrFlex:
    layout = "ibkr_flex"
    version = 1
    source_kind = "ibkr_flex"
    label = "Interactive Brokers Flex statement (XML)"
    default_on_error: Literal["refuse", "skip"] = "skip"

    def score(self, head: Head) -> float:
        start = head.first_bytes.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not start.startswith(b"<"):
            start = head.first_bytes.replace(b"\x00", b"")  # UTF-16 keeps its ASCII readable
        return 1.0 if b"<FlexQueryResponse" in start or b"<FlexStatementResponse" in start else 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        reader = FlexReader()
        read_elements(content, reader, limits=options.limits, progress=progress)
        return reader.finish()


class FlexReader:
    """Follows FlexQueryResponse > FlexStatements > FlexStatement > section > row, wherever the outer ones
    are nested.
    """

    def __init__(self) -> None:
        self._result = Statement(layout="ibkr_flex", institution="Interactive Brokers", references_issued=True)
        self._values = FlexValues()
        self._trades = FlexTrades(self._result, self._values)
        self._sections = FlexSections(self._result, self._values)
        self._handlers: Mapping[str, Callable[[int, str, Mapping[str, str]], None]] = {
            "Trades": self._trades.add,
            "CashTransactions": self._sections.cash_transaction,
            "CorporateActions": self._sections.corporate_action,
            "Transfers": self._sections.transfer,
            "SalesTaxes": self._sections.sales_tax,
            "OpenPositions": self._sections.open_position,
            "CashReport": self._sections.cash_report,
            "ConversionRates": self._sections.conversion_rate,
        }
        self._statements = 0
        self._sections_read = 0
        self._seen: set[tuple[str, str, str]] = set()
        self._unread: dict[str, tuple[int, int]] = {}  # rule -> (first row, rows)
        # of the statement that is open
        self._depth = 0  # of its element; 0 = none is open
        self._account = ""
        self._window: tuple[date | None, date | None] = (None, None)
        self._generated: datetime | None = None
        self._is_repeated = False
        self._present: set[str] = set()
        self._broken: set[Section] = set()
        self._accounts: dict[Section, set[str]] = {}
        # of the section that is open
        self._section = ""
        self._row_tag, self._level = "", ""
        self._coverage: Section | None = None
        self._handler: Callable[[int, str, Mapping[str, str]], None] | None = None
        self._rows_taken = 0
        self._first_summary = 0

    def start(self, number: int, depth: int, tag: str, attributes: dict[str, str]) -> None:
        if self._depth and depth == self._depth + 2:
            self._row(number, tag, attributes)
        elif self._depth and depth == self._depth + 1 and tag != "AccountInformation":
            self._open_section(tag)
        elif tag == "FlexStatement" and not self._depth:
            self._open_statement(depth, attributes)
        elif tag == "AccountInformation":  # may stand outside of its statement
            self._account_information(attributes)
        elif depth == 1 and tag != "FlexQueryResponse":
            if tag == "FlexStatementResponse":
                raise FileRefused(
                    "not_a_statement",
                    "This is the Flex service's reply to a request, not the statement itself.",
                )
            raise FileRefused("not_a_statement", "This XML is not a Flex statement of Interactive Brokers.")

    def end(self, depth: int, tag: str) -> None:
        if self._depth and depth == self._depth + 1:
            self._close_section()
        elif self._depth and depth == self._depth:
            self._close_statement()

    def finish(self) -> Statement:
        if not self._statements:
            raise FileRefused("no_rows", "The file holds no FlexStatement.")
        if not self._sections_read:
            known = "Trades, Cash Transactions, Open Positions, Cash Report"
            raise FileRefused(
                "no_rows", f"The query holds no section that is read. Add {known} to it and run it again."
            )
        self._sections.finish_actions()
        self._trades.settle_cancels()
        for rule, (line, count) in self._unread.items():
            self._result.ignored.append(Ignored(line, rule, count))
        return self._result

    def _open_statement(self, depth: int, attributes: Mapping[str, str]) -> None:
        account = attributes.get("accountId", "").strip()
        if len(account) > 100:
            raise FileRefused("bad_xml", "accountId is longer than 100 characters.")
        key = (account, attributes.get("fromDate", ""), attributes.get("toDate", ""))
        self._statements += 1
        self._is_repeated = bool(account) and key in self._seen  # the same account again in another base currency
        self._seen.add(key)
        self._depth = depth
        self._account = "" if account in NOTHING else account
        self._window = (self._day(attributes, "fromDate"), self._day(attributes, "toDate"))
        self._sections.window = self._window
        self._generated = self._moment(attributes.get("whenGenerated", ""))
        if self._generated is not None and (
            self._result.generated_at is None or self._generated > self._result.generated_at
        ):
            self._result.generated_at = self._generated
        self._present, self._broken, self._accounts = set(), set(), {}

    def _account_information(self, attributes: Mapping[str, str]) -> None:
        account = attributes.get("accountId", "").strip() or self._account
        currency = attributes.get("currency", "").strip()
        if account and len(account) <= 100 and currency in ISO_4217:
            self._result.base_currencies.setdefault(account, currency)

    def _open_section(self, tag: str) -> None:
        self._section = tag
        self._handler = None if self._is_repeated else self._handlers.get(tag)
        self._coverage, self._row_tag, self._level = READ_SECTIONS.get(tag, (None, "", ""))
        self._rows_taken = self._first_summary = 0
        if tag in READ_SECTIONS:
            self._sections_read += 1
            if not self._is_repeated:
                self._present.add(tag)

    def _row(self, number: int, tag: str, attributes: dict[str, str]) -> None:
        handler = self._handler
        if handler is None:
            rule = "repeated_statement" if self._is_repeated else f"section_{self._section}"[:40]
            first, count = self._unread.get(rule, (number, 0))
            self._unread[rule] = (first, count + 1)
            return
        level = attributes.get("levelOfDetail", "")
        if tag != self._row_tag or (self._level and level not in ("", self._level)):
            self._result.ignored.append(Ignored(number, "summary_level"))
            self._first_summary = self._first_summary or number
            return
        account = attributes.get("accountId", "").strip()
        if not account or account == "-":
            account = self._account
        self._rows_taken += 1
        try:
            if len(account) > 100:
                raise RowProblem("too_long", "accountId is longer than 100 characters.", "accountId")
            handler(number, account, attributes)
        except RowProblem as exc:
            self._result.problems.append(exc.at(number, _raw(tag, attributes)))
            if self._coverage is not None:
                self._broken.add(self._coverage)
        if self._coverage is not None:
            self._accounts.setdefault(self._coverage, set()).add(account[:100])

    def _close_section(self) -> None:
        if self._first_summary and not self._rows_taken and self._section in LEVEL_WORDS:
            word = LEVEL_WORDS[self._section]
            self._result.problems.append(
                Problem(
                    self._first_summary,
                    "level_of_detail",
                    f"{self._section} holds summaries only. Choose {word} in that section of the Flex "
                    "query and run it again.",
                    "levelOfDetail",
                )
            )
            if self._coverage is not None:
                self._broken.add(self._coverage)
        self._section, self._handler = "", None

    def _close_statement(self) -> None:
        self._cover_transactions()
        if "OpenPositions" in self._present:
            self._cover_days("positions", [self._window[1]])
        if "CashReport" in self._present:
            start, end = self._window
            self._cover_days("cash", [start - timedelta(days=1) if start is not None else None, end])
        if "CashTransactions" in self._present:
            self._result.cash_mode = "tracked"
        self._sections.reported.clear()
        self._depth = 0

    def _cover_transactions(self) -> None:
        """Whole only where trades and cash bookings are both in it: one without the other must not
        withdraw anything.
        """
        start, end = self._window
        present = self._present & {name for name, (covers, _, _) in READ_SECTIONS.items() if covers == "transactions"}
        if start is None or end is None or not present:
            return
        completeness: Completeness = "declared" if {"Trades", "CashTransactions"} <= present else "inferred"
        if self._generated is None or self._generated.date() <= end:
            end -= timedelta(days=1)  # its last day had not ended
        if "transactions" in self._broken:
            completeness = "broken"
        if end < start:
            end = start
            completeness = "inferred" if completeness == "declared" else completeness
        for account in self._covered("transactions"):
            self._result.coverage.append(CoverageRow(account, "transactions", start, end, completeness))

    def _cover_days(self, section: Section, days: list[date | None]) -> None:
        """Coverage of the days that rows report, or of the statement's own days where the section is
        empty.
        """
        completeness: Completeness = "broken" if section in self._broken else "declared"
        reported = {(account, day) for account, covered, day in self._sections.reported if covered == section}
        if not reported:
            reported = {(account, day) for account in self._covered(section) for day in days if day is not None}
        for account, day in sorted(reported):
            self._result.coverage.append(CoverageRow(account, section, day, day, completeness))

    def _covered(self, section: Section) -> list[str]:
        """Accounts that the section's rows name, else the statement's."""
        return sorted(self._accounts.get(section) or {self._account})

    def _day(self, attributes: Mapping[str, str], name: str) -> date | None:
        try:
            return self._values.day(attributes, name)
        except RowProblem as exc:
            raise FileRefused("bad_date", exc.detail) from exc

    def _moment(self, text: str) -> datetime | None:
        """When the statement was made, None where it does not say so intelligibly."""
        try:
            day, clock = self._values.moment(text, "whenGenerated")
        except RowProblem:
            return None
        if day is None:
            return None
        return datetime.fromisoformat(f"{day.isoformat()}T{clock or '00:00:00'}").replace(tzinfo=BROKER_ZONE)


def _raw(tag: str, attributes: Mapping[str, str]) -> str:
    """The row as it stood, without its empty attributes, cut to what a problem shows."""
    parts = [f"<{tag}"]
    size = len(parts[0])
    for name, value in attributes.items():
        if value:
            parts.append(f'{name}="{value[:RAW_CHARACTERS]}"')
            size += len(parts[-1])
        if size > RAW_CHARACTERS:
            break
    return " ".join(parts) + " />"
