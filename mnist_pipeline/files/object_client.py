"""The client of an object store, set up from the environment; and what its errors mean.

obstore reads ``AWS_*`` by itself, but ends the program over values that it cannot send, and says neither which variable
it stumbled over nor which proxy it went through. So the values are looked at first.
"""

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mnist_pipeline.errors import MissingExtraError, NetworkError, StorageError
from mnist_pipeline.network import certificates, check_url, proxy_for, public_url, tls_context

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

SCHEME = "s3://"
CONNECT_SECONDS, READ_SECONDS, REQUEST_SECONDS = 10, 30, 600
"""How long to wait for a connection, for the next bytes, and for a whole answer."""
RETRIES, RETRY_SECONDS = 5, 60
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name the server; the first that is set counts."""
ADDRESSES = (*ENDPOINTS, "AWS_METADATA_ENDPOINT", "AWS_STS_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
SENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
"""Variables whose values are sent in headers, or signed."""
NO_CREDENTIALS = (
    "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or AWS_SKIP_SIGNATURE=true for a bucket that is open to all"
)
NEVER_PROXIED = ("localhost", "127.0.0.0/8", "::1", "169.254.0.0/16", "fd00:ec2::/32")
"""This machine, and what gives credentials to virtual machines and containers in the cloud."""
CHECK = "check bucket, endpoint and credentials"
_METADATA = "/latest/api/token"
"""Where obstore asks for credentials when it has no others: the metadata service of a virtual machine in the cloud."""


def open_store(bucket: str, prefix: str, *, in_path: bool = False) -> "S3Store":
    """The store behind ``s3://bucket/prefix``, on the server that ``AWS_ENDPOINT_URL`` names, else Amazon's.

    Args:
        bucket: its name.
        prefix: "" for the whole bucket.
        in_path: put the bucket's name into the path of every address, whatever the environment says.

    Raises:
        MissingExtraError: the 's3' extra is not installed.
        StorageError: a variable cannot be used; names it.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError:
        raise MissingExtraError(f"reading {SCHEME}{bucket}", "s3") from None
    _check_environment()
    try:
        return S3Store(
            bucket,
            config={"virtual_hosted_style_request": False} if in_path else {},
            prefix=prefix or None,
            client_options=_options(),
            retry_config={"max_retries": RETRIES, "retry_timeout": dt.timedelta(seconds=RETRY_SECONDS)},
        )
    except NetworkError as error:
        raise StorageError(str(error)) from None
    except (BaseError, ValueError) as error:
        raise StorageError(_unusable(str(error))) from error


def endpoint() -> str:
    """URL of the server."""
    named = next((os.environ[name] for name in ENDPOINTS if name in os.environ), None)
    return named or f"https://s3.{_region()}.amazonaws.com"


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _check_environment() -> None:
    for name in ADDRESSES:
        if (address := os.environ.get(name)) is None:
            continue
        try:
            check_url(address, ("http", "https"))
        except ValueError as error:
            raise StorageError(
                f"{name}={public_url(address) if '://' in address else address} is no address of a server: {error}; "
                f"write https://HOST:PORT, or unset {name}"
            ) from None
    for name in SENT:
        value = os.environ.get(name, "")
        if not value.isprintable() or value != value.strip():
            raise StorageError(f"{name} holds a line break or a space at an end, and cannot be sent; set it without")


def _options() -> "ClientConfig":
    from urllib.request import getproxies

    options: ClientConfig = {
        "allow_http": True,  # used only where such an endpoint is named
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "read_timeout": f"{READ_SECONDS}s",
        "timeout": f"{REQUEST_SECONDS}s",
    }
    if found := certificates():
        tls_context()  # says what is wrong with them
        variable, value = found
        if variable == "REQUESTS_CA_BUNDLE" and Path(value).is_file():  # the others the client reads by itself
            options["root_certificate"] = Path(value).read_bytes()
    if getproxies():  # the client would follow them itself, with other exceptions and without a word about bad ones
        options |= _proxies()
    return options


def _proxies() -> "ClientConfig":
    proxy = proxy_for(endpoint())
    if proxy and proxy.url.startswith("socks"):
        raise NetworkError(f"{proxy} is a SOCKS proxy, which object stores are not read through; name an http proxy")
    direct = [*NEVER_PROXIED, *([] if proxy else [urlsplit(endpoint()).hostname or ""])]
    return {"proxy_url": proxy.url if proxy else _proxy_of_others(), "proxy_excludes": ",".join(direct)}


def _proxy_of_others() -> str:
    """The proxy of whom else the client may ask, such as a service that gives credentials."""
    try:
        found = proxy_for("https://sts.amazonaws.com")
    except NetworkError:
        found = None
    return found.url if found and found.url.startswith("http") else "http://localhost"


def _unusable(said: str) -> str:
    """Why the client could not be set up, with the variable whose value the message quotes."""
    reason = _first_line(said)
    if "Missing" in reason and "Key" in reason:
        return NO_CREDENTIALS
    quoted = [name for name, value in os.environ.items() if name.startswith("AWS_") and value and f'"{value}"' in said]
    return f"{', '.join(quoted) or 'the AWS_* variables'} cannot be used: {reason}"


def explain(error: Exception) -> str:
    """What went wrong and what to do, in one line: the client's own words are many lines of debug output."""
    said, _, details = str(error).partition("Debug source")
    if _METADATA in said:
        return NO_CREDENTIALS
    if answer := _answer(said):
        return answer
    if asked := re.search(r"performing [A-Z]+ (https?://[^/\s]+)\S* in ", said):
        return f"{asked[1]} cannot be reached{_way()}: {_cause(details)}"
    return f"{_first_line(said)}; {CHECK}"


def _answer(said: str) -> str | None:
    """What the server answered; None where it did not."""
    if code := re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", said, re.DOTALL):
        return f"{code[1]} ({code[2]}); {CHECK}"
    if "redirect without LOCATION" in said:
        return f"the bucket is not in the region {_region()}; set AWS_REGION"
    if "status code: 407" in said:
        return f"it is asked{_way()}, which wants a user name and a password"
    status = re.search(r"status code: (\d+ [A-Za-z ]*[A-Za-z])", said)
    return f"the server answered {status[1]}; {CHECK}" if status else None


def _way() -> str:
    proxy = proxy_for(endpoint())
    return f" through {proxy}" if proxy else ""


def _cause(details: str) -> str:
    if refused := re.search(r"InvalidCertificate\(\s*(\w+)", details):
        return f"its certificate is not trusted ({refused[1]}); name those of your network in SSL_CERT_FILE"
    if "TunnelUnsuccessful" in details or "ProxyAuthRequired" in details:
        return "the proxy refuses; does it want a user name and a password?"
    words = re.findall(r'(?:message|error): "([^"]*)"', details)
    if words:
        return f"{words[-1]}; check AWS_ENDPOINT_URL"
    return f"{'no answer in time' if 'TimedOut' in details else 'the connection failed'}; try later"


def _first_line(said: str) -> str:
    return " ".join(said.partition("Debug source")[0].split())[:300]
