from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    name = "portfolio"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from federation.holdings import answer_with
        from portfolio import receivers  # noqa: F401  # connects them
        from portfolio.models import Position

        answer_with(
            lambda *, user_id, position_id: (
                Position.objects.filter(user=user_id, pk=position_id).values_list("account", "instrument").first()
            )
        )
