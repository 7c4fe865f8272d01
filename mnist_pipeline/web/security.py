"""What every request has to pass, and what every answer carries. Plain ASGI.

A page of another site that a browser shows can send requests to loopback, and with a name that leads there even read
the answers (DNS rebinding). So the Host must be an address or a name of ours, what comes from another site may change
nothing and compute nothing, and on any other interface than loopback a token is asked for.
"""

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mnist-pipeline-token"
OPEN = frozenset({"/health"})
"""Paths that need no token: whoever starts and stops the server asks whether it is well."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
"""Of every answer that does not set them itself."""


def own_names(host: str) -> frozenset[str]:
    """Names under which a server that listens on ``host`` may be asked for."""
    return frozenset(name.lower() for name in ("localhost", host, socket.gethostname()) if name)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        names: lower-case host names of this server; its addresses are accepted in any case.
        token: what a request must bring; "" where anybody may ask.
    """

    names: frozenset[str] = field(default_factory=lambda: own_names("localhost"))
    token: str = ""

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is not let in."""
        headers = Headers(scope=scope)
        if not _is_own(headers.get("host", ""), self.names):
            return _no(400, f"this server is not called {headers.get('host', '')!r}; start it with --allow-host NAME")
        if scope["method"] not in SAFE and _is_foreign(headers):
            return _no(403, "requests that other sites send are not answered")
        if not self.token or scope["path"] in OPEN or _has(headers, self.token):
            return None
        if hmac.compare_digest(Request(scope).query_params.get("token", "").encode(), self.token.encode()):
            return self._let_in(scope)
        return _no(401, "send the header 'Authorization: Bearer TOKEN', or open the page with ?token=TOKEN")

    def _let_in(self, scope: Scope) -> Response:
        """A browser keeps the token, and its address bar does not."""
        answer = RedirectResponse(str(URL(scope=scope).remove_query_params("token").replace(scheme="", netloc="")), 303)
        answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        return answer


class Guard:
    """Middleware: lets in whom `Access` lets in, and adds `HEADERS`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._access.refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)


def _no(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, {"www-authenticate": "Bearer"} if status == 401 else None)


def _is_own(host: str, names: Iterable[str]) -> bool:
    """Whether a Host header is an address, which no other site's name can stand for, or one of the names."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another site sends this."""
    if site := headers.get("sec-fetch-site"):
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _has(headers: Headers, token: str) -> bool:
    """Whether a request brings the token, in a header or in the cookie that we set."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    brought = value if scheme.lower() == "bearer" else cookie.value if cookie else ""
    return hmac.compare_digest(brought.strip().encode(), token.encode())
