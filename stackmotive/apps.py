from django.apps import AppConfig


class StackmotiveConfig(AppConfig):
    name = "stackmotive"
