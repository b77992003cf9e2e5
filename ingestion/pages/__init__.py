"""Browser pages of ingestion: imports, the order of sources, and one source."""

from django.urls import URLPattern, URLResolver

from ingestion.pages import imports, source, sources

urlpatterns: list[URLPattern | URLResolver] = [*imports.urlpatterns, *sources.urlpatterns, *source.urlpatterns]
