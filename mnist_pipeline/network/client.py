"""The HTTP client, and how long anybody waits for one."""

import queue
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from mnist_pipeline.errors import NetworkError
from mnist_pipeline.network.certificates import tls_context
from mnist_pipeline.network.proxies import Proxy, proxy_for

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


def open_client(*, connect_timeout: float, read_timeout: float) -> "httpx.Client":
    """An HTTP client that reaches each host as `proxy_for` and `tls_context` say, and follows redirects.

    Besides `httpx.HTTPError`, whose message names the proxy where there is one, its requests raise `NetworkError`.
    """
    import httpx

    class Routes(httpx.BaseTransport):
        """Each request, redirects included, through the proxy of its host, or directly."""

        def __init__(self) -> None:
            self._transports: dict[tuple[bool, Proxy | None], httpx.HTTPTransport] = {}

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            proxy = proxy_for(str(request.url))
            route = (request.url.scheme == "https", proxy)
            if route not in self._transports:
                self._transports[route] = _transport(*route)
            try:
                return self._transports[route].handle_request(request)
            except httpx.TransportError as error:
                if proxy is None:
                    raise
                raise type(error)(f"{error}, through {proxy}") from error

        def close(self) -> None:
            for transport in self._transports.values():
                transport.close()

    return httpx.Client(
        transport=Routes(),
        trust_env=False,
        timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
        follow_redirects=True,
        max_redirects=5,
        headers={"Accept-Encoding": "identity", "User-Agent": "mnist-pipeline"},
    )


def _transport(secure: bool, proxy: Proxy | None) -> "httpx.HTTPTransport":
    import ssl

    import httpx

    through = None if proxy is None else httpx.Proxy(proxy.url)
    if through and through.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise NetworkError(
            f"{proxy} is a SOCKS proxy, which needs the package socksio; install it with: pip install 'httpx[socks]'; "
            "or name an http proxy, or except the host with NO_PROXY"
        )
    # Without TLS nobody needs certificates: the empty context trusts none.
    context = tls_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if through and through.url.scheme == "https":
        through.ssl_context = tls_context()
    return httpx.HTTPTransport(verify=context, trust_env=False, proxy=through)


def wait_for(work: Callable[[], T], seconds: float | None = None) -> T:
    """What ``work`` returns or raises, done by a thread that is left to itself where nobody waits for it any longer.

    Looking up a name, and a client that is not written in Python, can neither be timed nor interrupted: Ctrl-C would
    have to wait until they give up.

    Args:
        work: what to do.
        seconds: how long to wait for it; None means no limit.

    Raises:
        TimeoutError: it has not ended by then.
    """
    if seconds is None and threading.current_thread() is not threading.main_thread():
        return work()  # no signal arrives here
    outcome: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, name="mnist-pipeline-network", daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.1f} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
