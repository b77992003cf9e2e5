"""Shapes of the federation API."""

from typing import Any

from rest_framework import serializers

from federation.conflict_answers import Answer, answers
from federation.models import AccountLink, BrokerAccount, Conflict, Decision, LedgerVersion
from federation.provenance import Provenance
from stackmotive.common.fields import NumberField, OwnedRelatedField
from stackmotive.common.money import plain

MOST_KEYS = 20


class CandidateSerializer(serializers.Serializer[Any]):
    """What one source says."""

    source = serializers.UUIDField()  # type: ignore[assignment]  # DRF's own attribute of that name is only an argument here
    value = serializers.CharField(help_text="A decimal number; empty where the source has no such row.")
    as_of = serializers.DateField()
    row = serializers.CharField(required=False, help_text="What the source calls the row, where one is compared.")


class ConflictSerializer(serializers.ModelSerializer[Conflict]):
    candidates = CandidateSerializer(many=True)
    difference = NumberField(allow_null=True)
    effect_base = NumberField(allow_null=True, help_text="In the user's base currency; null while it cannot be priced.")
    account_name = serializers.CharField(source="account.name", default=None)
    symbol = serializers.CharField(source="instrument.symbol", default=None)
    answers = serializers.SerializerMethodField(help_text="What resolve takes for it.")

    class Meta:
        model = Conflict
        fields = [
            "id", "kind", "key", "account", "account_name", "instrument", "symbol", "candidates", "winner", "rule",
            "status", "difference", "effect_base", "answers",
        ]  # fmt: skip
        read_only_fields = fields

    def get_answers(self, conflict: Conflict) -> list[Answer]:
        return list(answers(conflict))


class ResolveSerializer(serializers.Serializer[Any]):
    """Exactly one of choose (a source id), match, book, accept and ignore."""

    choose = serializers.UUIDField(required=False, help_text="The source to believe.")
    book = serializers.BooleanField(required=False, help_text="Book the row that one source alone has.")
    ignore = serializers.BooleanField(required=False, help_text="Leave it as it is; holds while the evidence does.")
    match = serializers.CharField(
        required=False, help_text="The row that this row is one with: a transaction's id, or a candidate's `row`."
    )
    accept = serializers.BooleanField(required=False, help_text="Let the edition that withdraws much count.")
    remember = serializers.BooleanField(
        default=True, help_text="false: the choice is for the reports compared now only."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        said = [name for name in ("choose", "match", "book", "accept", "ignore") if attrs.get(name)]
        if len(said) != 1:
            raise serializers.ValidationError("Say one of choose, match, book, accept and ignore.")
        return attrs | {"action": said[0]}


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    keys = serializers.JSONField()
    value = serializers.JSONField()
    revoked_at = serializers.DateTimeField(source="revocation.created_at", default=None)

    class Meta:
        model = Decision
        fields = ["id", "kind", "keys", "value", "created_at", "revoked_at"]
        read_only_fields = fields


class DecisionRequestSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Decision.Kind.choices)
    keys = serializers.DictField(
        help_text='{"key": a conflict\'s key}, or rows, a reference, or an account with a holding; `row:<source>:<row>` '
        "is also the key of a row that is not booked, `transaction:<id>:<field>` of a value to set."
    )
    value = serializers.DictField(
        required=False,
        help_text='{"source": id} to choose, {"account": id} to link or to merge, {"field", "value"} to set a value '
        '(null = unknown), {"lots": [{"acquired_on", "quantity", "cost"}]} behind an opening balance, {"as"} of a '
        "transfer: pair, apart, income or payment.",
    )

    def validate_keys(self, keys: dict[str, Any]) -> dict[str, Any]:
        if not keys or len(keys) > MOST_KEYS:
            raise serializers.ValidationError("Say what the decision is about.")
        return keys


class AccountLinkSerializer(serializers.ModelSerializer[AccountLink]):
    source_name = serializers.CharField(source="source.name")
    account_name = serializers.CharField(source="account.name", default=None)
    evidence = serializers.DictField()

    class Meta:
        model = AccountLink
        fields = ["id", "source", "source_name", "reference", "account", "account_name", "state", "evidence"]
        read_only_fields = fields


class AccountLinkChangeSerializer(serializers.Serializer[Any]):
    """Either the account that the reference means, or that it is to be ignored."""

    account = OwnedRelatedField(queryset=BrokerAccount.objects.all(), required=False)
    state = serializers.ChoiceField(choices=[AccountLink.State.IGNORED.value], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Give the account, or the state ignored.")
        return attrs


class LedgerVersionSerializer(serializers.ModelSerializer[LedgerVersion]):
    class Meta:
        model = LedgerVersion
        fields = ["number", "fact_number", "market_number", "rules_version", "content_hash", "cause", "created_at"]
        read_only_fields = fields


class ClaimSerializer(serializers.Serializer[Any]):
    source = serializers.UUIDField()  # type: ignore[assignment]  # DRF's own attribute of that name is only an argument here
    source_name = serializers.CharField()
    won = serializers.BooleanField()
    rule = serializers.CharField()
    value = serializers.CharField(required=False, help_text="Of a position: what this source says.")
    as_of = serializers.DateField(required=False)
    identity = serializers.CharField(required=False, help_text="Of a transaction: what the source calls the row.")


class ImportedBySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    filename = serializers.CharField()
    layout = serializers.CharField()
    created_at = serializers.DateTimeField()


class RawRowSerializer(serializers.Serializer[Any]):
    source = serializers.UUIDField()  # type: ignore[assignment]  # DRF's own attribute of that name is only an argument here
    source_name = serializers.CharField()
    line = serializers.IntegerField()
    values = serializers.SerializerMethodField()
    imports = ImportedBySerializer(many=True)

    def get_values(self, row: Any) -> dict[str, Any]:
        return {name: plain(value) if hasattr(value, "as_tuple") else value for name, value in row.values.items()}


class ProvenanceSerializer(serializers.Serializer[Provenance]):
    winner = serializers.UUIDField(allow_null=True)
    rule = serializers.CharField()
    claims = ClaimSerializer(many=True)
    raw_rows = RawRowSerializer(many=True)
    import_runs = serializers.SerializerMethodField()
    conflicts = ConflictSerializer(many=True)
    decisions = DecisionSerializer(many=True, help_text="What the user said of it, in force, the newest first.")

    def get_import_runs(self, provenance: Provenance) -> list[str]:
        runs = {str(run["id"]): None for row in provenance.raw_rows for run in row.imports}
        return list(runs)


class ProvenanceQuerySerializer(serializers.Serializer[Any]):
    """One of the two."""

    transaction = serializers.UUIDField(required=False)
    position = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Ask for a transaction or for a position, by its id.")
        return attrs
