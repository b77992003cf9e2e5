"""What each tier adds to the one below it, in words for people."""

from accounts.models import Tier

FEATURES: dict[Tier, tuple[str, ...]] = {
    Tier.OBSERVER: (
        "Accounts, transactions and positions entered by hand",
        "Holdings, summary, performance and allocation",
        "Own instruments and latest prices",
        "Security notices and the record of your own account",
    ),
    Tier.NAVIGATOR: (
        "See sources, imports and sync runs",
        "Notifications in the browser",
        "Reads of the reconciled ledger: conflicts and provenance",
    ),
    Tier.OPERATOR: (
        "Import CSV and IBKR statements",
        "Register and sync sources",
        "Decide conflicts between sources",
    ),
    Tier.SOVEREIGN: ("The highest limits",),
}


def features(tier: Tier) -> list[str]:
    """All that `tier` may do, the lower tiers' features first."""
    return [feature for level, names in FEATURES.items() if level <= tier for feature in names]
