import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import federation.models
from stackmotive.embedded.append_only import append_only

# Where a row of each table says whose it is.
OWNERS = {
    "federation_brokeraccount": "user",
    "federation_instrument": "user",
    "federation_accountlink": "source",
    "federation_instrumentlink": "source",
    "federation_listing": "instrument",
    "federation_instrumentidentifier": "instrument",
}
KEEP = """
CREATE FUNCTION federation_keep_former_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  former jsonb := to_jsonb(OLD);
  owner uuid;
  newest bigint;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN RETURN NULL; END IF;
  CASE TG_ARGV[0]
    WHEN 'user' THEN owner := (former->>'user_id')::uuid;
    WHEN 'source' THEN
      SELECT s.user_id INTO owner FROM public.ingestion_source s WHERE s.id = (former->>'source_id')::uuid;
    ELSE
      SELECT i.user_id INTO owner FROM public.federation_instrument i WHERE i.id = (former->>'instrument_id')::uuid;
  END CASE;
  SELECT u.fact_number INTO newest FROM public.accounts_user u WHERE u.id = owner;
  IF newest IS NOT NULL THEN
    INSERT INTO public.federation_formername (user_id, "table", row, before, until)
    VALUES (owner, TG_TABLE_NAME, former->>'id', former, newest);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION federation_forget_former_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM public.federation_formername WHERE user_id = OLD.id;
  RETURN NULL;
END $$;
CREATE TRIGGER forget_former_names AFTER DELETE ON accounts_user
  FOR EACH ROW EXECUTE FUNCTION federation_forget_former_names();
""" + "".join(
    f"CREATE TRIGGER keep_former_name AFTER UPDATE OR DELETE ON {table} "
    f"FOR EACH ROW EXECUTE FUNCTION federation_keep_former_name('{owner}');\n"
    for table, owner in OWNERS.items()
)
KEEP_NO_MORE = (
    "".join(f"DROP TRIGGER keep_former_name ON {table};\n" for table in OWNERS)
    + """
DROP TRIGGER forget_former_names ON accounts_user;
DROP FUNCTION federation_forget_former_names;
DROP FUNCTION federation_keep_former_name;
"""
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_user_settings"),
        ("federation", "0006_values_and_lots_by_decision"),
    ]

    operations = [
        migrations.CreateModel(
            name="FormerName",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("table", models.CharField(max_length=40)),
                ("row", models.CharField(max_length=36)),
                ("before", models.JSONField()),
                ("until", models.PositiveBigIntegerField()),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["user", "table", "until"], name="formername_by_number")],
            },
        ),
        migrations.AlterField(
            model_name="accountsetting",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=federation.models.with_its_user,
                related_name="setting_facts",
                to="federation.brokeraccount",
            ),
        ),
        migrations.RunSQL(KEEP, KEEP_NO_MORE),
        append_only(
            "federation_accountsetting",
            "federation_corporateaction",
            "federation_corporateactionwithdrawal",
            "federation_decision",
            "federation_decisionrevocation",
            "federation_formername",
            "federation_instrumentattribute",
            "federation_ledgerversion",
        ),
    ]
