"""What a user says beside the file, as it is kept on the run."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Self
from uuid import UUID

from django.conf import settings

from ingestion.adapters.base import Limits, ParseOptions

OnError = Literal["", "refuse", "skip"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """mapping: column -> field; words: the file's word for a kind -> kind; constants: field -> what no column states.

    account: the broker account for rows that name none. on_error: "" = the layout's own default (DESIGN 5.3).
    """

    mapping: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    date_order: str = ""
    number_format: str = ""
    encoding: str = ""
    as_of: date | None = None
    whole: bool = True
    on_error: OnError = ""
    account: UUID | None = None
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Only what was said."""
        said: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if (
                value not in ("", None, {})
                and not (item.name == "whole" and value)
                and not (item.name == "dry_run" and not value)
            ):
                said[item.name] = str(value) if isinstance(value, date | UUID) else value
        return said

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        known = dict(said)
        if "as_of" in known:
            known["as_of"] = date.fromisoformat(known["as_of"])
        if "account" in known:
            known["account"] = UUID(known["account"])
        return cls(**known)

    def digest(self, *, raw_digest: str, source: UUID | None) -> str:
        """SHA-256 of the whole request: equal open uploads join one run."""
        told = json.dumps([raw_digest, str(source or ""), self.as_json()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def profile(self) -> dict[str, Any]:
        """What is worth keeping for the next file with the same columns; {} where nothing was said."""
        kept = ("mapping", "words", "constants", "date_order", "number_format", "encoding")
        return {name: value for name, value in self.as_json().items() if name in kept}

    def with_profile(self, kept: dict[str, Any]) -> Self:
        """What was said now, before what a profile keeps."""
        missing = {name: value for name, value in kept.items() if not getattr(self, name)}
        return dataclasses.replace(self, **missing)

    def parse_options(self) -> ParseOptions:
        return ParseOptions(
            mapping=self.mapping,
            words=self.words,
            constants=self.constants,
            date_order=self.date_order,
            number_format=self.number_format,
            encoding=self.encoding,
            as_of=self.as_of,
            whole=self.whole,
            limits=limits(),
        )


def limits() -> Limits:
    """How much of a file is read, as the settings say."""
    return Limits(csv_bytes=settings.CSV_MAX_BYTES, csv_rows=settings.CSV_MAX_ROWS, xml_bytes=settings.XML_MAX_BYTES)
