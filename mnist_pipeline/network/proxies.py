"""Proxies, as the environment names them and their exceptions.

They are looked up here for every client alike, so that all of them go the same way and a variable that cannot be
followed is named. This machine itself is never reached through a proxy.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from mnist_pipeline.errors import NetworkError
from mnist_pipeline.network.addresses import check_url, is_loopback, public_url

SCHEMES = ("http", "https", "socks5", "socks5h")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; as text with the variable that names it, and without user name and password."""

    variable: str
    url: str

    def __str__(self) -> str:
        return f"{self.variable}={public_url(self.url)}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that ``url`` is reached through; None where it is reached directly.

    Raises:
        NetworkError: the proxy's variable names none that can be used.
    """
    from urllib.request import getproxies  # brings TLS along: not before it is asked for

    parts = urlsplit(url)
    host = parts.hostname or ""
    found = getproxies()
    if is_loopback(host) or _is_excepted(host, parts.port, found.get("no", "")):
        return None
    for scheme in (parts.scheme, "all"):
        if value := found.get(scheme):
            return _usable(Proxy(_variable(f"{scheme}_proxy"), value if "://" in value else f"http://{value}"))
    return None


def loopback_without_proxy() -> Mapping[str, str]:
    """``NO_PROXY`` in both spellings, with the names of this machine added to what is excepted.

    For programs that look up their proxies themselves, and would ask them for this machine too: httpx, websockets and
    with them Prefect's client.
    """
    from urllib.request import getproxies_environment

    named = getproxies_environment().get("no", "")
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    # A lone star means every host, and to urllib only where it stands alone.
    value = named if hosts == ["*"] else ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
    return {"no_proxy": value, "NO_PROXY": value}


def _variable(name: str) -> str:
    """The variable as the environment spells it: lower case wins, as it does in `getproxies`."""
    spelt = [variable for variable in os.environ if variable.lower() == name and os.environ[variable]]
    return name if name in spelt or not spelt else spelt[-1]


def _usable(proxy: Proxy) -> Proxy:
    try:
        check_url(proxy.url, SCHEMES)
    except ValueError as error:
        raise NetworkError(f"{proxy} is no proxy: {error}; write http://HOST:PORT, or unset {proxy.variable}") from None
    return proxy


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` names the host: itself or its domain, its address or its network, with or without port."""
    from urllib.request import proxy_bypass

    entries = (entry.strip().lower() for entry in exceptions.split(","))
    return any(_covers(entry, host, port) for entry in entries if entry) or bool(proxy_bypass(host))


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # a name on either side
        name, _, only = entry.partition(":")
        domain = name.lstrip("*.")
        return bool(domain) and f".{host}".endswith(f".{domain}") and only in {"", str(port)}
