"""Addresses as users write them: what may be shown of them, and what is wrong with them. Pure."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit


def public_url(url: str) -> str:
    """``url`` without user name, password, query and fragment: what may be shown, logged and recorded."""
    hidden = f"{url.partition('://')[0]}://..."
    try:
        parts = _split(url)
    except ValueError:  # which part is the password cannot be told
        return hidden
    if parts.port is not None and "@" in parts.path and "@" not in parts.netloc:
        return hidden  # a password that begins as a port does, and goes on after a slash
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_url(url: str, schemes: tuple[str, ...]) -> None:
    """Refuse what is no URL of a host.

    Raises:
        ValueError: it is malformed, or has no host or another scheme; the message shows nothing of it.
    """
    parts = _split(url)
    if parts.scheme not in schemes:
        raise ValueError(f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not parts.hostname:
        raise ValueError("it names no host")
    if " " in url:
        raise ValueError("it holds a space")


def _split(url: str) -> SplitResult:
    if not url.isprintable():
        raise ValueError("it holds a line break, or another character that cannot be shown")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host is malformed") from None
    try:
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError(
            "its port is no number up to 65535 (in a user name or password, / ? # @ are written %2F %3F %23 %40)"
        ) from None
    return parts


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def listens_locally(host: str) -> bool:
    """Whether a server that listens on this name or address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
