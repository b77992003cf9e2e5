from django.db import migrations, models

OWNERS = {
    "federation_instrument": "NEW.user_id",
    "federation_instrumentlink": "(SELECT s.user_id FROM public.ingestion_source s WHERE s.id = NEW.source_id)",
}
STAMP = "".join(
    f"""
CREATE FUNCTION {table}_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.made_number := COALESCE((SELECT u.fact_number FROM public.accounts_user u WHERE u.id = {owner}), 0);
  RETURN NEW;
END $$;
CREATE TRIGGER made BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_made();
"""  # noqa: S608  # names of our own tables
    for table, owner in OWNERS.items()
)
STAMP_NO_MORE = "".join(f"DROP TRIGGER made ON {table};\nDROP FUNCTION {table}_made;\n" for table in OWNERS)


class Migration(migrations.Migration):
    dependencies = [("federation", "0010_versions_tell_holdings")]

    operations = [
        migrations.AddField("instrument", "made_number", models.PositiveBigIntegerField(default=0, editable=False)),
        migrations.AddField("instrumentlink", "made_number", models.PositiveBigIntegerField(default=0, editable=False)),
        migrations.RunSQL(STAMP, STAMP_NO_MORE),
    ]
