"""Container health check: exits with 0 when /health answers 200."""

import http.client
import os
import sys

port = int(os.environ.get("PORT") or 8000)
host = os.environ.get("HOST") or "::"
if host in ("::", "0.0.0.0"):  # nosec B104
    host = "127.0.0.1"
connection = http.client.HTTPConnection(host, port, timeout=4)
try:
    connection.request("GET", "/health")
    sys.exit(connection.getresponse().status != 200)
except OSError as error:
    sys.exit(f"no answer: {type(error).__name__}")
