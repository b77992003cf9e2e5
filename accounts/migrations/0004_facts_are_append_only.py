from django.db import migrations

from stackmotive.embedded.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_user_settings")]

    operations = [append_only("accounts_factversion", "accounts_usersetting")]
