"""Which certificates are trusted."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_pipeline.errors import NetworkError

if TYPE_CHECKING:
    import ssl

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Each names a file or a folder; the first that is set counts."""
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's name in a folder of them, as OpenSSL looks it up."""


def certificates() -> tuple[str, str] | None:
    """The variable that says which certificates to trust, and its value; None means that nothing does."""
    return next(((name, value) for name in VARIABLES if (value := os.environ.get(name))), None)


def tls_context() -> "ssl.SSLContext":
    """Trusts the certificates that a variable names, else those of Mozilla's list (certifi).

    Raises:
        NetworkError: what the variable names holds no certificates.
    """
    import ssl

    import certifi

    found = certificates()
    if found is None:
        return ssl.create_default_context(cafile=certifi.where())
    variable, value = found
    try:
        if variable == "SSL_CERT_DIR" or Path(value).is_dir():
            _check_folders(value.split(os.pathsep))
            return ssl.create_default_context(capath=value)
        return ssl.create_default_context(cafile=value)
    except ssl.SSLError:
        problem = "it holds no certificate (PEM)"
    except OSError as error:
        problem = error.strerror or str(error)
    raise NetworkError(f"{variable}={value}: {problem}; name a file of trusted certificates, or unset {variable}")


def _check_folders(named: list[str]) -> None:
    folders = [folder for folder in map(Path, named) if folder.is_dir()]
    if not folders:
        raise NotADirectoryError(None, "there is no such folder")
    if not any(_HASHED.fullmatch(path.name) for folder in folders for path in folder.iterdir()):
        raise FileNotFoundError(None, "it holds no certificate under its hash (openssl rehash makes the links)")
