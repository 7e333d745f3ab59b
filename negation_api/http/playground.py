"""GET /: try the service in a browser. A page of our own assets and no build step.

``PLAYGROUND=off`` leaves it out. The page calls ``/predict`` like any other client.
"""

from flask import Blueprint, redirect, render_template, request

from negation_api import __version__

bp = Blueprint(
    "playground",
    __name__,
    static_folder="static/playground",
    static_url_path="/playground",
)

# Its own script and style, calls to this service, and nothing else.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@bp.get("/")
def playground():
    """Show the page; its script does the rest."""
    asked = request.environ["RAW_URI"].partition("?")[0]
    if asked == request.root_path:  # links are relative to the last slash
        return redirect(f"{request.root_path}/", 308)
    page = render_template("playground.html", version=__version__)
    return page, {"Content-Security-Policy": PAGE_POLICY}
