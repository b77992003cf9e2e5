"""Choose a file, see what it holds, follow its import, take it back."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Tier, User
from accounts.page_access import signed_in
from ingestion import selectors, services, tasks
from ingestion.adapters.detection import ADAPTERS
from ingestion.errors import QuotaExceeded, SourceNamed
from ingestion.models import OPEN_STATUSES, ImportRow, ImportRun
from ingestion.options import ImportOptions
from ingestion.pages.frame import NEW, base_context, chosen_source, may_import, own_run
from ingestion.previews import FilePreview, answers_of, shown_preview
from ingestion.run_cards import MOST_PROBLEMS, run_cards, run_report
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import Invalid, Problem

MEGABYTE = 1024 * 1024
LONGEST_NAME = 100


def uploaded(request: HttpRequest) -> "UploadedFile[Any]":
    """The file of a form. Raises Invalid for none, and for one larger than any layout may be."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile) or not file.size:
        raise Invalid("Choose a file that is not empty.")
    if file.size > settings.XML_MAX_BYTES:
        raise Invalid(f"Files may have {settings.XML_MAX_BYTES // MEGABYTE} MB. Split this one by date.")
    return file


def new_name(request: HttpRequest) -> str:
    """What a new source is to be called; "" where the form asks for none. Raises Invalid for no name."""
    if request.POST.get("source") != NEW:
        return ""
    name = " ".join(request.POST.get("source_name", "").split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"Give the new source a name of at most {LONGEST_NAME} characters.")
    return name


def chosen_options(request: HttpRequest) -> ImportOptions:
    """What the form says beside the file. Raises Invalid for an account that is none."""
    form = {name: str(value) for name, value in request.POST.items()}
    said = answers_of(form, columns=[str(name) for name in request.POST.getlist("columns")])
    if form.get("account"):
        said["account"] = form["account"]
    try:
        return ImportOptions.from_json(said)
    except ValueError as exc:
        raise Invalid("Choose one of your accounts.") from exc


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def import_page(request: HttpRequest, user: User) -> HttpResponse:
    if request.method == "POST":
        may_import(user)
        take_costly(user_id=user.pk, kind="import")
        try:
            run = started_import(request, user)
        except (Invalid, SourceNamed, QuotaExceeded) as exc:
            context = form_context(request, user) | {"error": exc.detail}
            return render(request, "ingestion/import.html", context, status=exc.status)
        return HttpResponseRedirect(reverse("import-run", args=[run.pk]))
    return render(request, "ingestion/import.html", form_context(request, user))


def started_import(request: HttpRequest, user: User) -> ImportRun:
    """The run that a form asks for. Raises Invalid, SourceNamed, QuotaExceeded."""
    file, name, options = uploaded(request), new_name(request), chosen_options(request)
    content, source = file.read(), chosen_source(request, user)
    if name:
        source = services.source_for_file(
            user=user, name=name, content=content, filename=file.name or "", options=options
        )
    return tasks.enqueue_import(user=user, content=content, filename=file.name or "", source=source, options=options)


def form_context(request: HttpRequest, user: User) -> dict[str, object]:
    may_read = user.effective_tier >= Tier.NAVIGATOR
    return base_context(request, user, "import") | {
        "sources": list(selectors.sources(user_id=user.pk)),
        "layouts": [adapter.label for adapter in ADAPTERS],
        "runs": run_cards(selectors.latest_runs(user_id=user.pk)) if may_read else [],
        "csv_megabytes": settings.CSV_MAX_BYTES // MEGABYTE,
        "csv_rows": f"{settings.CSV_MAX_ROWS:,}",
        "xml_megabytes": settings.XML_MAX_BYTES // MEGABYTE,
        "may_import": user.effective_tier >= Tier.OPERATOR,
        "asked_source": request.GET.get("source", ""),
    }


@require_POST
@signed_in
def import_preview(request: HttpRequest, user: User) -> HttpResponse:
    """What the chosen file holds; nothing is stored."""
    try:
        may_import(user)
        take_costly(user_id=user.pk, kind="preview")
        file, options, source = uploaded(request), chosen_options(request), chosen_source(request, user)
        read = services.preview_import(
            user=user, content=file.read(), filename=file.name or "", source=source, options=options
        )
        is_shared = source is None and request.POST.get("source") != NEW
        preview = shown_preview(read, options=options, is_shared=is_shared)
        if request.POST.get("source") == NEW:
            preview = replace(preview, source_name=request.POST.get("source_name", "").strip() or "a new source")
    except Problem as exc:
        preview = FilePreview(error=exc.detail)
    return render(request, "ingestion/_preview.html", {"preview": preview, "can_check_again": True})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def import_run(request: HttpRequest, user: User, run_id: UUID) -> HttpResponse:
    """One import; a POST answers what it asks."""
    run = own_run(user, run_id)
    if request.method == "POST":
        may_import(user)
        form = {name: str(value) for name, value in request.POST.items()}
        asked = run.questions or {}
        tasks.enqueue_answers(run=run, answers=answers_of(form, columns=asked.get("columns", [])))
        return HttpResponseRedirect(reverse("import-run", args=[run.pk]))
    rejected = selectors.rows_left_out(run=run, verdict=ImportRow.Verdict.REJECTED)[:MOST_PROBLEMS]
    context = base_context(request, user, "import") | {"run": run_report(run, rejected=list(rejected))}
    return render(request, "ingestion/import_result.html", context)


@require_POST
@signed_in
def import_undo(request: HttpRequest, user: User, run_id: UUID) -> HttpResponse:
    may_import(user)
    services.undo_import(run=own_run(user, run_id))
    messages.success(request, "The import was undone. Your figures follow in a moment.")
    return HttpResponseRedirect(reverse("import-run", args=[run_id]))


@require_POST
@signed_in
def import_skip(request: HttpRequest, user: User, run_id: UUID) -> HttpResponse:
    """Take the good rows of a file that was refused for its bad ones."""
    may_import(user)
    tasks.enqueue_retry(run=own_run(user, run_id), answers={"on_error": "skip"})
    return HttpResponseRedirect(reverse("import-run", args=[run_id]))


@require_safe
@signed_in
def import_jobs(request: HttpRequest, user: User) -> HttpResponse:
    """Imports that go on, as cards that every page shows."""
    shown_by_itself = request.headers.get("HX-Current-URL", "")
    runs = selectors.import_runs(user_id=user.pk).filter(status__in=OPEN_STATUSES)[:5]
    cards = [card for card in run_cards(runs) if f"/import/{card.id}/" not in shown_by_itself]
    return render(request, "ingestion/_jobs.html", {"runs": cards})


urlpatterns: list[URLPattern | URLResolver] = [
    path("import/", import_page, name="import"),
    path("import/preview/", import_preview, name="import-preview"),
    path("import/jobs/", import_jobs, name="import-jobs"),
    path("import/<uuid:run_id>/", import_run, name="import-run"),
    path("import/<uuid:run_id>/undo/", import_undo, name="import-undo"),
    path("import/<uuid:run_id>/skip/", import_skip, name="import-skip"),
]
