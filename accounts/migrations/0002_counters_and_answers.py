from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="RateCounter",
            fields=[
                ("key", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("used", models.PositiveIntegerField()),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
        ),
        # Counters of minutes need no write-ahead log: a crash may empty them.
        migrations.RunSQL(
            "ALTER TABLE accounts_ratecounter SET UNLOGGED", "ALTER TABLE accounts_ratecounter SET LOGGED"
        ),
        migrations.RemoveField("idempotencyrecord", "answer"),
        migrations.AddField("idempotencyrecord", "answer", models.TextField(blank=True, default=""), preserve_default=False),
    ]
