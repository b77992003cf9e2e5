from django.apps.registry import Apps
from django.db import connection, migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH = 500
COUNT = """
INSERT INTO ingestion_contentusage
  (content_id, account_ref, section, instrument_key, currency, rows, first_day, last_day)
SELECT content_id, account_ref, 'transactions', instrument_key, currency, COUNT(*), MIN(trade_date), MAX(trade_date)
FROM ingestion_stagedtransaction WHERE content_id = ANY(%(contents)s) GROUP BY 1, 2, 4, 5
UNION ALL SELECT content_id, account_ref, 'positions', instrument_key, currency, COUNT(*), MIN(as_of), MAX(as_of)
FROM ingestion_stagedposition WHERE content_id = ANY(%(contents)s) GROUP BY 1, 2, 4, 5
UNION ALL SELECT content_id, account_ref, 'cash', '', currency, COUNT(*), MIN(as_of), MAX(as_of)
FROM ingestion_stagedcash WHERE content_id = ANY(%(contents)s) GROUP BY 1, 2, 5
UNION ALL SELECT content_id, account_ref, section, '', '', 0, NULL, NULL
FROM ingestion_coverage WHERE content_id = ANY(%(contents)s)
"""


def count(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    contents = list(apps.get_model("ingestion", "Content").objects.order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        for start in range(0, len(contents), BATCH):
            cursor.execute(COUNT, {"contents": contents[start : start + BATCH]})


def forget(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("ingestion", "ContentUsage").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0007_usages_by_content")]

    operations = [migrations.RunPython(count, forget)]
