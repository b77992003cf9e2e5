"""What can be added as a source, what each kind asks for, and one source in full."""

from dataclasses import dataclass

from ingestion.adapters.detection import ADAPTERS
from ingestion.adapters.pulling import PULLERS, puller_of
from ingestion.models import ImportRun, Source, SourceKind
from ingestion.run_cards import RunCard, run_cards
from ingestion.source_cards import KIND_LABELS

MOST_FILES = 12
WORDS = {
    SourceKind.IBKR_FLEX: "Flex statements: trades, cash, positions and corporate actions of all your accounts there.",
    SourceKind.KUCOIN: "Fills, deposits, withdrawals and balances of your accounts there.",
    SourceKind.CSV: "Tables of transactions or positions from a bank, another broker, or your own list.",
}
SECRET_WORDS = {"token": "Token", "query_id": "Query id", "key": "Key", "secret": "Secret", "passphrase": "Passphrase"}


@dataclass(frozen=True, slots=True)
class SecretField:
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class KindCard:
    """A kind of source. can_pull: it is fetched; otherwise its files are uploaded."""

    kind: str
    label: str
    detail: str
    can_pull: bool
    secrets: tuple[SecretField, ...]


@dataclass(frozen=True, slots=True)
class SourceDetail:
    """can_retire: rows typed by hand have one source that stays."""

    kind: KindCard | None
    label: str
    files: tuple[RunCard, ...]
    more_files: int
    can_retire: bool


def kind_cards() -> list[KindCard]:
    """Kinds that a file can be read of, or that can be fetched."""
    kinds = {adapter.source_kind for adapter in ADAPTERS} | PULLERS.keys()
    return [kind_card(kind) for kind in SourceKind if kind in kinds]


def kind_card(kind: SourceKind) -> KindCard:
    puller = puller_of(kind)
    secrets = sorted(puller.secret_parameters) if puller else []
    return KindCard(
        kind=str(kind),
        label="Files of a bank, a broker or your own" if kind == SourceKind.CSV else KIND_LABELS[kind],
        detail=WORDS.get(kind, ""),
        can_pull=puller is not None,
        secrets=tuple(
            SecretField(name, SECRET_WORDS.get(name, name.replace("_", " ").capitalize())) for name in secrets
        ),
    )


def source_detail(source: Source) -> SourceDetail:
    runs = ImportRun.objects.filter(source=source).select_related("source").order_by("-created_at", "-pk")
    kind = SourceKind(source.kind)
    return SourceDetail(
        kind=None if kind == SourceKind.MANUAL else kind_card(kind),
        label=KIND_LABELS[kind],
        files=tuple(run_cards(runs.defer("raw")[:MOST_FILES])),
        more_files=max(0, runs.count() - MOST_FILES),
        can_retire=kind != SourceKind.MANUAL,
    )
