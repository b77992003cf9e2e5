"""Bodies of the portfolio API beside JSON."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from stackmotive.common.parsing import check_text, read_bounded


class CsvText:
    """A CSV as text, told from a JSON string by its type."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class CsvParser(BaseParser):
    """text/csv in UTF-8, with or without BOM, as large as a JSON body may be."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            text = read_bounded(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE).decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise ParseError("The CSV is not UTF-8.") from exc
        check_text(text)
        return CsvText(text)
