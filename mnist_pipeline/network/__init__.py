"""How other machines are reached: through which proxy, by whose certificates, with which HTTP client."""

from mnist_pipeline.network.addresses import check_url, is_loopback, listens_locally, public_url
from mnist_pipeline.network.certificates import certificates, tls_context
from mnist_pipeline.network.client import open_client, wait_for
from mnist_pipeline.network.proxies import Proxy, loopback_without_proxy, proxy_for

__all__ = [
    "Proxy",
    "certificates",
    "check_url",
    "is_loopback",
    "listens_locally",
    "loopback_without_proxy",
    "open_client",
    "proxy_for",
    "public_url",
    "tls_context",
    "wait_for",
]
