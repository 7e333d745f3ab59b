"""What is wrong with a request that Gunicorn's parser refuses, in words of ours.

Its own messages repeat what was sent. What a chunk is shows only when the application
reads the body, so this is below the server.
"""

from gunicorn.http import errors

MAX_LINE_BYTES = 8190  # of a request line; Gunicorn takes no more
MAX_FIELD_BYTES = 64 * 1024  # of one header, and of all together
MAX_FIELDS = 1000

_LENGTH = (
    "The body's length is not clear: send Content-Length once, in digits, or"
    " Transfer-Encoding: chunked, and not both."
)
_CHUNKS = "The body is not in chunks as RFC 9112, 7.1 has them, or ends too early."
# The first that fits; each -> status, detail
_KINDS = {
    errors.InvalidResponseHeader: (500, None),
    errors.InvalidResponseHeaderName: (500, None),
    errors.InvalidRequestLine: (
        400,
        "The first line must be METHOD PATH HTTP/1.1, with single blanks, ended by"
        " CR LF.",
    ),
    errors.InvalidRequestMethod: (400, "Methods are in capitals, such as POST."),
    errors.InvalidHTTPVersion: (400, "HTTP/1.1 and HTTP/1.0 are spoken."),
    errors.InvalidHeaderName: (
        400,
        "A header's name is none, or a blank stands before its colon.",
    ),
    errors.ObsoleteFolding: (400, "A header goes on in a second line."),
    errors.InvalidHeader: (
        400,
        "A header is not NAME: VALUE ended by CR LF, or is there twice.",
    ),
    errors.UnsupportedTransferCoding: (
        400,  # a 5xx would ring alarms of ours
        "The only Transfer-Encoding that is read is chunked. A gzip body is read with"
        " Content-Encoding: gzip.",
    ),
    errors.ExpectationFailed: (417, "The only Expect that is met is 100-continue."),
    errors.LimitRequestLine: (
        414,
        f"At most {MAX_LINE_BYTES} bytes are read of the first line.",
    ),
    errors.LimitRequestHeaders: (
        431,
        f"At most {MAX_FIELDS} headers and {MAX_FIELD_BYTES} bytes of them are read,"
        " of trailers as much.",
    ),
    errors.InvalidChunkSize: (400, _CHUNKS),
    errors.ChunkMissingTerminator: (400, _CHUNKS),
    errors.InvalidChunkExtension: (400, _CHUNKS),
}
# What to say of a refusal that was made without the parser
BY_STATUS = {status: detail for status, detail in _KINDS.values() if 400 < status < 500}
_BY_FIELD = {
    "HOST": "HTTP/1.1 wants one Host header, with the name of a host (RFC 9112, 3.2).",
    "CONTENT-TYPE": "Content-Type is there twice.",
    "CONTENT-LENGTH": _LENGTH,
    "TRANSFER-ENCODING": _LENGTH,
}


def explain(error: errors.ParseException) -> tuple[int, str | None]:
    """Give the status and the detail of what the parser raised.

    >>> explain(errors.InvalidHeader("HOST"))
    (400, 'HTTP/1.1 wants one Host header, with the name of a host (RFC 9112, 3.2).')
    """
    if isinstance(error, errors.InvalidHeader) and error.hdr in _BY_FIELD:
        return 400, _BY_FIELD[error.hdr]
    kinds = (found for kind, found in _KINDS.items() if isinstance(error, kind))
    return next(kinds, (400, None))
