from django.db import migrations

from stackmotive.embedded.append_only import append_only

# What brokers marked is derived again by the next refresh, into its own tables.
MOVE = """
DELETE FROM portfolio_price WHERE user_id IS NOT NULL AND provider LIKE 'broker:%';
DELETE FROM portfolio_fxrate WHERE user_id IS NOT NULL AND provider LIKE 'broker:%';
UPDATE portfolio_figurestate SET facts_number = 0;
"""


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0010_broker_marks")]

    operations = [
        migrations.RunSQL(MOVE, "UPDATE portfolio_figurestate SET facts_number = 0"),
        append_only("portfolio_price", "portfolio_fxrate", "portfolio_valuationsetting"),
    ]
