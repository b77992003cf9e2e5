from django.db import migrations

AGAIN = "UPDATE federation_ledgerstate SET facts_version = 0"  # all accounts are computed: what differs is written


class Migration(migrations.Migration):
    dependencies = [("federation", "0008_conflict_weights")]

    operations = [migrations.RunSQL(AGAIN, migrations.RunSQL.noop)]
