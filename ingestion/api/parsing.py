"""Uploads as they stream in: a file over its limit is refused while it is read, chunked bodies included."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, load_handler
from django.http import HttpRequest
from rest_framework.parsers import DataAndFiles

from stackmotive.common.parsing import StrictMultiPartParser
from stackmotive.common.problems import TooLarge

FORM_BYTES = 1024 * 1024  # what a form may hold beside its file


class CappedUpload(FileUploadHandler):
    """First in the chain of handlers: counts, and stops a file at the limit of its format. Keeps nothing."""

    limit = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start == 0:
            self.limit = limit_of(raw_data)
        check_size(start + len(raw_data), self.limit)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def limit_of(first_bytes: bytes) -> int:
    """How large a file that begins so may be: XML is allowed more than CSV."""
    head = first_bytes[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    return settings.XML_MAX_BYTES if head.startswith(b"<") else settings.CSV_MAX_BYTES


def check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(
            f"The file is larger than {limit // 1024 // 1024} MB. Split it by date and import the parts.", limit=limit
        )


class UploadParser(StrictMultiPartParser):
    """multipart/form-data with a capped file."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        request: HttpRequest = (parser_context or {})["request"]._request
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit():
            check_size(int(length), settings.XML_MAX_BYTES + FORM_BYTES)
        handlers = [load_handler(path, request) for path in settings.FILE_UPLOAD_HANDLERS]
        request.upload_handlers = [CappedUpload(request), *handlers]
        return super().parse(stream, media_type, parser_context)
