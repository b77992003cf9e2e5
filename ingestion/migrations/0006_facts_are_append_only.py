from django.db import migrations

from stackmotive.embedded.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0005_runs_go_with_their_user")]

    operations = [
        append_only(
            "ingestion_content",
            "ingestion_arrival",
            "ingestion_withdrawal",
            "ingestion_coverage",
            "ingestion_sourcesetting",
            "ingestion_stagedinstrument",
            "ingestion_stagedtransaction",
            "ingestion_stagedposition",
            "ingestion_stagedcash",
            "ingestion_stagedprice",
            "ingestion_stagedrate",
        ),
    ]
