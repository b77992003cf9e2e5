import django.db.models.deletion
from django.db import migrations, models

from stackmotive.embedded.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0006_facts_are_append_only")]

    operations = [
        migrations.CreateModel(
            name="ContentUsage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "content",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="usages", to="ingestion.content"
                    ),
                ),
                ("account_ref", models.CharField(blank=True, max_length=100)),
                (
                    "section",
                    models.CharField(
                        choices=[("transactions", "Transactions"), ("positions", "Positions"), ("cash", "Cash")],
                        max_length=15,
                    ),
                ),
                ("instrument_key", models.CharField(blank=True, max_length=32)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("rows", models.PositiveIntegerField()),
                ("first_day", models.DateField(null=True)),
                ("last_day", models.DateField(null=True)),
            ],
        ),
        append_only("ingestion_contentusage"),
    ]
