"""The ingestion API: sources, imports, previews and profiles."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.authentication import caller
from accounts.idempotency import idempotent
from accounts.models import Tier
from accounts.permissions import AtLeast
from ingestion import selectors, services, tasks
from ingestion.adapters.column_guesses import header_fingerprint
from ingestion.api import serializers
from ingestion.api.filters import SyncRunFilter
from ingestion.api.parsing import UploadParser
from ingestion.models import ImportProfile, ImportRun, Source, SyncRun
from ingestion.services import profiles
from stackmotive.common.parsing import StrictJSONParser
from stackmotive.common.views import ApiView, OwnedViewSet, accepted

SEE_AND_RUN = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)


@extend_schema_view(
    list=extend_schema(responses=serializers.SourceSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.SourceSerializer),
    destroy=extend_schema(
        parameters=[OpenApiParameter("keep", bool, description="false: its facts are no longer believed either.")],
        responses={204: OpenApiResponse(description="Retired: credentials erased, facts stay.")},
    ),
)
class SourceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """Where facts come from. Lower priority numbers are believed first."""

    tiers = SEE_AND_RUN
    queryset = Source.objects.all()
    serializer_class = serializers.SourceSerializer
    filterset_fields = ("kind", "enabled")
    ordering_fields = ("name", "priority", "created_at")
    costly = {"sync": "sync", "test": "sync"}

    def get_queryset(self) -> QuerySet[Source]:
        if getattr(self, "swagger_fake_view", False):
            return Source.objects.none()
        return selectors.sources(user_id=self.request.user.pk)  # type: ignore[arg-type]

    @extend_schema(request=serializers.SourceRequestSerializer, responses={201: serializers.SourceSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.SourceRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        values["parameters"] = values.pop("settings", None)
        source = services.create_source(user=request.user, **values)  # type: ignore[arg-type]
        address = reverse("api-source-detail", args=[source.pk], request=request)
        return Response(self.get_serializer(source).data, status=201, headers={"Location": address})

    @extend_schema(request=serializers.SourceChangeSerializer, responses={200: serializers.SourceSerializer})
    def update(self, request: Request, pk: str) -> Response:
        return self._change(request, is_partial=False)

    @extend_schema(request=serializers.SourceChangeSerializer, responses={200: serializers.SourceSerializer})
    def partial_update(self, request: Request, pk: str) -> Response:
        return self._change(request, is_partial=True)

    def _change(self, request: Request, *, is_partial: bool) -> Response:
        source: Source = self.get_object()
        asked = serializers.SourceChangeSerializer(data=request.data, partial=is_partial)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        credentials = values.pop("credentials", None)
        source = services.update_source(source=source, values=values, credentials=credentials)
        return Response(self.get_serializer(source).data)

    @extend_schema(request=None, responses={202: serializers.SyncRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def sync(self, request: Request, pk: str) -> Response:
        """Fetch what this source has to say: a sync run of one source. 409 while another sync of yours runs."""
        source: Source = self.get_object()
        return sync_accepted(request, [source])

    @extend_schema(request=None, responses={200: serializers.SourceTestSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Ask the broker whether it lets us in. 200 also where it refuses, is away, or nothing can be fetched."""
        return Response(serializers.SourceTestSerializer(services.try_source(source=self.get_object())).data)

    def destroy(self, request: Request, pk: str) -> Response:
        keep = request.query_params.get("keep", "").lower() not in ("false", "0")
        services.retire_source(source=self.get_object(), keep=keep)
        return Response(status=204)


def sync_accepted(request: Request, sources: Sequence[Source] | None) -> Response:
    run = tasks.enqueue_sync(user=request.user, sources=sources, trigger=SyncRun.Trigger.API)  # type: ignore[arg-type]
    seen = selectors.sync_runs(user_id=run.user_id).get(pk=run.pk)
    address = reverse("api-sync-run-detail", args=[run.pk], request=request)
    return accepted(serializers.SyncRunSerializer(seen).data, location=address)


@extend_schema_view(
    list=extend_schema(responses=serializers.SyncRunSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.SyncRunSerializer),
)
class SyncRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """Syncs of all sources that can be fetched, in parallel; one of a user runs at a time."""

    tiers = SEE_AND_RUN
    queryset = SyncRun.objects.all()
    serializer_class = serializers.SyncRunSerializer
    filterset_class = SyncRunFilter
    ordering_fields = ("created_at", "finished_at")
    costly = {"create": "sync"}

    def get_queryset(self) -> QuerySet[SyncRun]:
        if getattr(self, "swagger_fake_view", False):
            return SyncRun.objects.none()
        return selectors.sync_runs(user_id=self.request.user.pk)  # type: ignore[arg-type]

    @extend_schema(request=serializers.SyncRequestSerializer, responses={202: serializers.SyncRunSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Fetch `sources`, or all in use. 409 with the id of the run that is live where one is."""
        asked = serializers.SyncRequestSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        return sync_accepted(request, asked.validated_data.get("sources"))

    @extend_schema(request=None, responses={200: serializers.SyncRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request: Request, pk: str) -> Response:
        """Fetch and read nothing more. What was stored stays; its imports can be undone one by one."""
        run = services.cancel_sync(run=self.get_object())
        return Response(self.get_serializer(selectors.sync_runs(user_id=run.user_id).get(pk=run.pk)).data)


COVERAGE_PARAMETERS = [
    OpenApiParameter("source", str, description="Lines of one source."),
    OpenApiParameter("until", dt.date, description="The last day that matters; your today without it."),
]


class CoverageView(ApiView):
    """What your files hold, month by month, and the months that nothing speaks of."""

    tiers = SEE_AND_RUN

    @extend_schema(parameters=COVERAGE_PARAMETERS, responses=serializers.CoverageAnswerSerializer)
    def get(self, request: Request) -> Response:
        user = caller(request)
        asked = serializers.CoverageQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        until = (
            asked.validated_data.get("until") or settings.AS_OF or timezone.localdate(timezone=ZoneInfo(user.timezone))
        )
        lines = selectors.coverage_grid(user.pk, until=until)
        if "source" in asked.validated_data:
            lines = [line for line in lines if line.source_id == asked.validated_data["source"]]
        answer = {"count": len(lines), "next": None, "previous": None, "until": until, "results": lines}
        return Response(serializers.CoverageAnswerSerializer(answer).data)


ROWS_PARAMETERS = [
    OpenApiParameter(
        "status", str, enum=["rejected", "ignored", "staged"], description="Without it: rejected and ignored rows."
    )
]


@extend_schema_view(
    list=extend_schema(responses=serializers.ImportRunSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.ImportRunSerializer),
)
class ImportRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """Imports of files: the jobs, what became of their rows, and taking them back."""

    tiers = SEE_AND_RUN
    queryset = ImportRun.objects.all()
    serializer_class = serializers.ImportRunSerializer
    parser_classes: Sequence[type[BaseParser]] = (UploadParser, StrictJSONParser)
    filterset_fields = ("status", "source", "sync_run", "layout", "trigger")
    ordering_fields = ("created_at", "finished_at")
    costly = {"create": "import", "retry": "import", "preview": "preview"}

    def get_queryset(self) -> QuerySet[ImportRun]:
        if getattr(self, "swagger_fake_view", False):
            return ImportRun.objects.none()
        return selectors.import_runs(user_id=self.request.user.pk)  # type: ignore[arg-type]

    @extend_schema(
        request={"multipart/form-data": serializers.ImportRequestSerializer},
        responses={202: serializers.ImportRunSerializer},
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Import a file. An equal upload that is still open is joined: its run is answered."""
        asked = self._asked(request)
        file = asked.validated_data["file"]
        run = tasks.enqueue_import(
            user=request.user,
            content=file.read(),
            filename=file.name or "",
            source=asked.validated_data.get("source"),
            options=asked.options(),
        )
        return self._accepted(run)

    @extend_schema(
        request={"multipart/form-data": serializers.ImportRequestSerializer},
        responses={200: serializers.ImportPreviewSerializer},
    )
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Read a file and answer what an import would do. Nothing is stored."""
        asked = self._asked(request)
        file = asked.validated_data["file"]
        preview = services.preview_import(
            user=request.user,  # type: ignore[arg-type]
            content=file.read(),
            filename=file.name or "",
            source=asked.validated_data.get("source"),
            options=asked.options(),
        )
        return Response(serializers.ImportPreviewSerializer(preview).data)

    @extend_schema(parameters=ROWS_PARAMETERS, responses=serializers.LeftOutSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_fields=(), ordering_fields=())
    def rows(self, request: Request, pk: str) -> Response:
        """The rows of a file by what became of them, in the order of the file. Staged rows have other members."""
        run: ImportRun = self.get_object()
        asked = serializers.RowsQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        status = asked.validated_data.get("status", "")
        body: Any
        if status == "staged":
            keys = self.paginate_queryset(selectors.staged_row_keys(content_id=run.content_id))
            page = selectors.staged_rows(content_id=run.content_id or 0, keys=keys or ())
            body = serializers.StagedRowSerializer(page, many=True).data  # type: ignore[arg-type]
        else:
            left_out = self.paginate_queryset(selectors.rows_left_out(run=run, verdict=status))
            body = serializers.LeftOutSerializer(left_out, many=True).data
        return self.get_paginated_response(body)

    @extend_schema(request=None, responses={200: serializers.ImportRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def undo(self, request: Request, pk: str) -> Response:
        """Take back what this import brought. Uploading the file again puts it back."""
        run = services.undo_import(run=self.get_object())
        return Response(self.get_serializer(run).data)

    @extend_schema(request=serializers.ImportAnswersSerializer, responses={202: serializers.ImportRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def mapping(self, request: Request, pk: str) -> Response:
        """Answer what a run with status needs_mapping asks; it goes on with the file that was sent."""
        run: ImportRun = self.get_object()
        asked = serializers.ImportAnswersSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._accepted(tasks.enqueue_answers(run=run, answers=asked.said()))

    @extend_schema(request=None, responses={200: serializers.ImportRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop an import that has stored nothing yet."""
        return Response(self.get_serializer(services.cancel_import(run=self.get_object())).data)

    @extend_schema(request=None, responses={202: serializers.ImportRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def retry(self, request: Request, pk: str) -> Response:
        """Read the kept file of a failed import again."""
        return self._accepted(tasks.enqueue_retry(run=self.get_object()))

    @extend_schema(request=None, responses={200: serializers.ImportRunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def purge(self, request: Request, pk: str) -> Response:
        """Remove the kept file. Its digest, counts and rows stay; it cannot be read again."""
        return Response(self.get_serializer(services.purge_import(run=self.get_object())).data)

    def _asked(self, request: Request) -> serializers.ImportRequestSerializer:
        asked = serializers.ImportRequestSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        return asked

    def _accepted(self, run: ImportRun) -> Response:
        address = reverse("api-import-detail", args=[run.pk], request=self.request)
        return accepted(self.get_serializer(run).data, location=address)


@extend_schema_view(
    list=extend_schema(responses=serializers.ImportProfileSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.ImportProfileSerializer),
)
class ImportProfileViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, OwnedViewSet):
    """Saved mappings of CSV columns; used unasked for the next file with the same columns."""

    tiers = SEE_AND_RUN
    queryset = ImportProfile.objects.all()
    serializer_class = serializers.ImportProfileSerializer
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[ImportProfile]:
        if getattr(self, "swagger_fake_view", False):
            return ImportProfile.objects.none()
        return selectors.import_profiles(user_id=self.request.user.pk)  # type: ignore[arg-type]

    @extend_schema(
        request=serializers.ImportProfileRequestSerializer, responses={201: serializers.ImportProfileSerializer}
    )
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.ImportProfileRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        profile = profiles.create_profile(
            user=request.user,  # type: ignore[arg-type]
            name=asked.validated_data["name"],
            header_digest=header_fingerprint(asked.validated_data["columns"]),
            options=dict(asked.validated_data["options"]),
        )
        address = reverse("api-import-profile-detail", args=[profile.pk], request=request)
        return Response(self.get_serializer(profile).data, status=201, headers={"Location": address})

    @extend_schema(
        request=serializers.ImportProfileChangeSerializer, responses={200: serializers.ImportProfileSerializer}
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        profile: ImportProfile = self.get_object()
        asked = serializers.ImportProfileChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        profiles.change_profile(profile=profile, values=asked.validated_data)
        return Response(self.get_serializer(profile).data)
