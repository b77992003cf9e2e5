from django.apps import AppConfig


class FederationConfig(AppConfig):
    name = "federation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from federation import receivers, selectors  # noqa: F401  # models are ready only now
        from ingestion.accounts import answer_with

        answer_with(selectors.is_own_account)
