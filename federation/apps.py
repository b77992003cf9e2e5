from django.apps import AppConfig


class FederationConfig(AppConfig):
    name = "federation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from federation import receivers, selectors  # noqa: F401  # models are ready only now
        from ingestion import accounts, conflicts

        accounts.answer_with(selectors.is_own_account)
        conflicts.answer_with(selectors.open_conflict_keys)
