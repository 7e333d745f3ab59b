"""Large answers as gzip, for who accepts it (RFC 9110, 12.5.3).

At the lowest level: `python bench/answers.py` shows what it takes and what it saves.
All that is answered is text. No page holds a secret beside what a client sent, which is
what compression could give away (https://www.breachattack.com/).
"""

import gzip

from flask import Flask, Response, g, request

MIN_BYTES = 1024  # below, one packet carries it as well
LEVEL = 1
MAX_ACCEPTED_CHARS = 1024  # of Accept-Encoding; reading 64 kB of it takes long


def _compress(response: Response) -> Response:
    not_modified = response.status_code == 304  # has the headers of what it stands for
    if not not_modified and (response.content_length or 0) < MIN_BYTES:
        return response
    response.vary.add("Accept-Encoding")
    wanted = None
    if len(request.headers.get("Accept-Encoding", "")) <= MAX_ACCEPTED_CHARS:
        wanted = request.accept_encodings.best_match(["gzip", "identity"])
    if wanted != "gzip" or not_modified or response.status_code == 206:
        return response
    response.direct_passthrough = False  # of a file
    response.data = gzip.compress(response.get_data(), LEVEL, mtime=0)
    response.content_encoding = "gzip"
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # other bytes than it was made of
    g.stopwatch.lap("gzip")
    return response


def init_app(app: Flask) -> None:
    """Called by the application factory, after what adds to answers."""
    app.after_request(_compress)
