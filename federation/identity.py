"""Rows of one source that are the same row (DESIGN 5.6): overlapping files state it twice, the ledger has it
once.
"""

from collections.abc import Iterable, Mapping

from federation.rows import ContentInfo, Edition, Event, Leg, StagedRow


def legs(
    booked: Iterable[StagedRow],
    others: Iterable[StagedRow],
    contents: Mapping[int, ContentInfo],
    editions: Mapping[int, Edition],
) -> list[Leg]:
    """One leg for each identity that has a row in force, in the order they were first recorded.

    The ordinal among equal rows is part of the identity, so that twins of overlapping files count as often as
    the file that has most of them. The newest edition speaks; every row of the identity is a member.
    editions: content -> its newest edition.
    """
    members: dict[str, list[StagedRow]] = {}
    for row in booked:
        members.setdefault(row.identity, []).append(row)
    speaking = {
        identity: rows[0] if len(rows) == 1 else max(rows, key=lambda row: (editions[row.content], row.id))
        for identity, rows in members.items()
    }
    for row in others:
        if row.identity in members:
            members[row.identity].append(row)
    result = []
    for identity, rows in members.items():
        row = speaking[identity]
        content = contents[row.content]
        if len(rows) == 1:
            result.append(Leg(row, row.id, row.uid, (row.id,), content.descending, content.layout))
            continue
        first = min(rows, key=lambda row: row.id)
        ids = tuple(sorted(one.id for one in rows))
        result.append(Leg(row, first.id, first.uid, ids, content.descending, content.layout))
    result.sort(key=lambda leg: leg.first)
    return result


def events(stated: Iterable[Leg]) -> list[Event]:
    """Legs of one source put together by the group that the source states; each other leg is an event of its
    own.
    """
    grouped: dict[tuple[str, str], list[Leg]] = {}
    result: list[Event] = []
    for leg in stated:
        if leg.row.group:
            grouped.setdefault((leg.row.account_ref, leg.row.group), []).append(leg)
        else:
            result.append(Event(leg.row.source, (leg,)))
    for together in grouped.values():
        together.sort(key=lambda leg: (leg.row.leg, leg.row.identity))
        result.append(Event(together[0].row.source, tuple(together)))
    result.sort(key=lambda event: event.first)
    return result
