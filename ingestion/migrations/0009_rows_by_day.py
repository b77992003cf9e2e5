import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ingestion", "0008_count_usages")]

    operations = [
        AddIndexConcurrently(
            "stagedtransaction", models.Index(fields=["content", "trade_date"], name="stagedtransaction_by_day")
        ),
        AddIndexConcurrently(
            "stagedtransaction",
            models.Index(fields=["group"], condition=~models.Q(group=""), name="stagedtransaction_group"),
        ),
        AddIndexConcurrently(
            "stagedtransaction",
            models.Index(fields=["external_id"], condition=models.Q(has_own_id=True), name="stagedtransaction_own_id"),
        ),
        migrations.AlterField(
            model_name="stagedtransaction",
            name="content",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="transactions",
                to="ingestion.content",
            ),
        ),
    ]
