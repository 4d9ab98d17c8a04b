"""A streaming reader of multipart/form-data: fields in any order, the file passed on as it arrives.

python-multipart splits the bytes. The file is never held in memory; the size of a field and the number of fields are
limited.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.domain.errors import LimitExceeded, UploadInvalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELD = "file"
MAX_FIELDS = 32  # uploads use six
MAX_FIELD_BYTES = 16 * 1024  # the longest is a name of 200 characters


class FormReader:
    """Takes the body in blocks of any size and passes the bytes of the file to `write`."""

    def __init__(self, content_type: str, write: Callable[[bytes], None]) -> None:
        _, options = parse_options_header(content_type)
        if b"boundary" not in options:
            raise UploadInvalid("The content type multipart/form-data has no boundary.")
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None  # None: no part called `file` yet
        self._write = write
        self._ended = False
        self._header_name = self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._field = ""
        self._is_file = False
        self._value = bytearray()
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_content,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(options[b"boundary"], callbacks)
        except FormParserError as error:
            raise UploadInvalid(f"The multipart boundary is invalid: {error}.") from error

    def feed(self, data: bytes) -> None:
        """Raises UploadInvalid for a malformed body, LimitExceeded for too many or too large fields."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise UploadInvalid(f"The multipart body is malformed: {error}.") from error

    def finish(self) -> None:
        """Raises UploadInvalid when the body ended early or has no file."""
        if not self._ended:
            raise UploadInvalid("The multipart body ends before its last boundary.")
        if self.file_name is None:
            raise UploadInvalid(f"The form has no file field `{FILE_FIELD}`.")

    def _begin_part(self) -> None:
        self._headers = {}
        self._value = bytearray()
        self._field = ""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = _text(options.get(b"name", b""))
        self._is_file = self._field == FILE_FIELD
        if not self._field:
            raise UploadInvalid("A part of the form has no name.")
        if self._is_file and self.file_name is not None:
            raise UploadInvalid(f"The form has more than one field `{FILE_FIELD}`.")
        if self._is_file:
            self.file_name = _text(options.get(b"filename", b""))
        elif b"filename" in options:
            raise UploadInvalid(f"Send the file in the field `{FILE_FIELD}`, not in {self._field[:80]!r}.")
        elif len(self.fields) >= MAX_FIELDS:
            raise LimitExceeded(f"The form exceeds the limit of {MAX_FIELDS} fields.", limit=MAX_FIELDS)

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise LimitExceeded(
                f"The field {self._field[:80]!r} exceeds the limit of {MAX_FIELD_BYTES} bytes.",
                field=self._field[:80],
                limit_bytes=MAX_FIELD_BYTES,
            )

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields[self._field] = _text(bytes(self._value))

    def _end(self) -> None:
        self._ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
