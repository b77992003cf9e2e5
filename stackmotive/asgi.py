"""The one web process: HTTP by Django, sockets by Channels."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stackmotive.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps before the consumers below import their models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from notifications.routing import websocket_urlpatterns  # noqa: E402
from stackmotive.common.bodies import App, BoundedBodies  # noqa: E402

application = ProtocolTypeRouter(
    {"http": BoundedBodies(cast(App, http)), "websocket": URLRouter(websocket_urlpatterns)}
)
