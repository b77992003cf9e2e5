"""From bytes to a statement: which layout a file is of, and what its user said about its columns before.

Knows nothing of the database: the profile of a header is handed in by a callable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingestion.adapters.base import FileAdapter, FileRefused, Head, NeedsMapping, Progress, Question, Statement
from ingestion.adapters.column_guesses import header_fingerprint
from ingestion.adapters.csv_reading import header_index
from ingestion.adapters.detection import MAPPED, detect, read_head
from ingestion.options import ImportOptions

ProfileOf = Callable[[str], dict[str, Any] | None]  # header digest -> kept options
GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Recognized:
    """A file whose reader is known. `header`: its columns; `header_digest`: "" where it has no header."""

    adapter: FileAdapter
    options: ImportOptions
    header: tuple[str, ...]
    header_digest: str
    head: Head

    @property
    def is_mapped(self) -> bool:
        return self.adapter is MAPPED

    @property
    def family(self) -> str:
        """What its source is named after: one per broker's layout, one for our own layouts, one per mapped header."""
        if self.is_mapped:
            return f"mapped:{self.header_digest[:32]}"
        return GENERIC if self.adapter.layout.startswith("generic") else self.adapter.layout

    @property
    def on_error(self) -> str:
        return self.options.on_error or self.adapter.default_on_error

    @property
    def mapping(self) -> dict[str, Any]:
        """The part of the content's digest that says how columns were read; {} where the layout is known."""
        if not self.is_mapped:
            return {}
        return {"columns": self.options.mapping, "words": self.options.words, "constants": self.options.constants}


def recognize(content: bytes, *, filename: str, options: ImportOptions, profile_of: ProfileOf) -> Recognized:
    """Whose file this is. A mapping that its user states or once stated for these columns comes before detection.

    Raises FileRefused for an empty file.
    """
    if not content.strip():
        raise FileRefused("empty", "The file is empty.")
    head = read_head(content, filename, encoding=options.encoding)
    index = header_index(head.rows)
    header = tuple(cell.strip() for cell in head.rows[index]) if index is not None else ()
    digest = header_fingerprint(header) if header else ""
    kept = profile_of(digest) if digest else None
    if kept and not options.mapping:
        options = options.with_profile(kept)
    adapter = MAPPED if options.mapping else detect(head) or MAPPED
    return Recognized(adapter, options, header, digest, head)


def parse(content: bytes, recognized: Recognized, progress: Progress) -> Statement:
    """Raises FileRefused or NeedsMapping; both say what to do."""
    statement = recognized.adapter.parse(content, recognized.options.parse_options(), progress)
    statement.parser_version = recognized.adapter.version
    return statement


def as_questions(asked: NeedsMapping, recognized: Recognized) -> dict[str, Any]:
    """The questions of a file as the run keeps them: {questions, guesses, columns, header_digest}."""
    return {
        "questions": [_question(question) for question in asked.questions],
        "guesses": [
            {"column": guess.column, "field": guess.field, "confidence": guess.confidence} for guess in asked.guesses
        ],
        "columns": list(recognized.header),
        "header_digest": recognized.header_digest,
    }


def _question(question: Question) -> dict[str, Any]:
    return {"code": question.code, "detail": question.detail, "choices": list(question.choices)}
