"""Where the socket answers."""

from channels.sessions import SessionMiddlewareStack
from django.urls import path

from notifications.consumers import NotificationConsumer

websocket_urlpatterns = [path("ws/notifications/", SessionMiddlewareStack(NotificationConsumer.as_asgi()))]
