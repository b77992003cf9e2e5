"""Where sockets answer."""

from django.urls import URLPattern

websocket_urlpatterns: list[URLPattern] = []
