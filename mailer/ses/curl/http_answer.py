"""An HTTP/1.1 response, parsed from the bytes received so far (RFC 9112)."""

from __future__ import annotations

from typing import NamedTuple

# SES's responses take a few hundred bytes. Anything longer than this is not one.
_MAX_BYTES = 1024 * 1024


class Answer(NamedTuple):
    """Header names are in lower case. ``reusable`` says whether the connection can carry another request."""

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


class NotHttp(ValueError):
    """The bytes are not an HTTP/1.x response."""


def parse_answer(data: bytes, *, ended: bool = False) -> Answer | None:
    """The response to a POST, or None while more bytes must come. ``ended``: the server has closed its side.

    Skips interim responses (1xx). Raises `NotHttp`.
    """
    if len(data) > _MAX_BYTES:
        raise NotHttp(f"longer than {_MAX_BYTES} bytes")
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        # Do not wait for the end of something that does not begin like HTTP.
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise NotHttp(_excerpt(data))
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith(("HTTP/1.1 ", "HTTP/1.0 ")) or not first[9:12].isdecimal():
        raise NotHttp(_excerpt(data))
    status = int(first[9:12])
    if status < 200:
        return parse_answer(rest, ended=ended)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    found = _body(status, headers, rest, ended=ended)
    if found is None:
        return None
    body, exact = found
    connection = headers.get("connection", "").lower()
    keeps = "keep-alive" in connection if first[7] == "0" else "close" not in connection
    return Answer(status, headers, body, exact and keeps and not ended)


def _body(status: int, headers: dict[str, str], rest: bytes, *, ended: bool) -> tuple[bytes, bool] | None:
    """The body, and whether it ends exactly where ``rest`` ends. Extra bytes would be read as the next response."""
    if status in {204, 304}:
        return b"", not rest
    if "transfer-encoding" in headers and "chunked" in headers["transfer-encoding"].lower():
        return _unchunked(rest)
    length = headers.get("content-length")
    if length is None:
        return (rest, False) if ended else None
    if not length.isdecimal():
        raise NotHttp(f"Content-Length: {length[:80]}")
    size = int(length)
    return (rest[:size], len(rest) == size) if len(rest) >= size else None


def _unchunked(data: bytes) -> tuple[bytes, bool] | None:
    """The content of a chunked body, without trailers; None while it is not complete."""
    content = b""
    while True:
        size_line, end, rest = data.partition(b"\r\n")
        if not end:
            return None
        try:
            size = int(size_line.partition(b";")[0], 16)
        except ValueError:
            raise NotHttp(f"chunk size {size_line[:80]!r}") from None
        if size == 0:
            # Trailers, if any, and an empty line.
            if rest.startswith(b"\r\n"):
                return content, rest == b"\r\n"
            return (content, rest.endswith(b"\r\n\r\n")) if b"\r\n\r\n" in rest else None
        if len(rest) < size + 2:
            return None
        content += rest[:size]
        data = rest[size + 2 :]


def _excerpt(data: bytes) -> str:
    return f"not an HTTP answer: {data[:80]!r}"
