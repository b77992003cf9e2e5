"""Brokers that tests make up: pullers of the kind `csv`, whose statements are generic CSV files."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import pytest

from accounts.models import User
from ingestion import services
from ingestion.adapters import pulling
from ingestion.adapters.pulling import Parameters, Payload
from ingestion.models import ImportRun, Source, SourcePull, SyncRun
from stackmotive.common.problems import UpstreamUnavailable

Answer = Payload | Exception | Callable[[], None]


class Broker:
    """Gives the answers of a source by its name, in order: statements, an error, something that happens meanwhile."""

    source_kind = "csv"
    secret_parameters = frozenset({"token"})

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[dict[str, Any], datetime | None]] = []

    def check(self, parameters: Parameters) -> None:
        self.asked.append((dict(parameters), None))
        for answer in self.answers.get(parameters["login"], ()):
            if isinstance(answer, Exception):
                raise answer

    def fetch(self, parameters: Parameters, since: datetime | None) -> Iterable[Payload]:
        self.asked.append((dict(parameters), since))
        return self._give(parameters["login"])

    def _give(self, login: str) -> Iterator[Payload]:
        for answer in self.answers.get(login, ()):
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Payload):
                yield answer
            else:
                answer()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setitem(pulling.PULLERS, "csv", made)
    return made


def statement(content: bytes, name: str = "statement.csv") -> Payload:
    return Payload(name, content)


def away() -> UpstreamUnavailable:
    return UpstreamUnavailable("The broker does not answer.")


def source_at(broker: Broker, user: User, name: str, *answers: Answer, **named: Any) -> Source:
    """A source whose broker gives `answers`."""
    broker.answers[name] = list(answers)
    return services.create_source(user=user, kind="csv", name=name, parameters={"login": name}, **named)


def pull_all(run: SyncRun) -> None:
    """What workers do: every queued pull, then every queued import, up to where the ledger takes over."""
    for pull in run.pulls.filter(status=SourcePull.Status.QUEUED).order_by("pk"):
        services.pull_source(pull_id=pull.pk)
    for found in ImportRun.objects.filter(sync_run=run, status="queued").order_by("pk"):
        services.run_import(run_id=found.pk)


def ledger_takes_all(user: User) -> None:
    services.finish_runs(user_id=user.pk, fact_number=10**9, ledger_version=1)


def synced(user: User, **named: Any) -> SyncRun:
    """A sync from its start to its end."""
    run = services.open_sync(user=user, trigger=named.pop("trigger", "api"), **named)
    pull_all(run)
    ledger_takes_all(user)
    run.refresh_from_db()
    return run


def ends(run: SyncRun) -> dict[str, tuple[str, str]]:
    """Source name -> (status, code)."""
    return {pull.source.name: (pull.status, pull.code) for pull in run.pulls.select_related("source")}
