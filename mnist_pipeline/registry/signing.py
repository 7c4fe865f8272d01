"""Ed25519 signatures of manifests (RFC 8032), detached, as OpenSSL reads and writes them.

A key pair, and a check without this program::

    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out public.pem
    openssl pkeyutl -verify -rawin -pubin -inkey public.pem -in manifest.json -sigfile manifest.json.sig
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mnist_pipeline.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_Key = TypeVar("_Key")


def sign(manifest: bytes, private_key: Path) -> bytes:
    """The 64 bytes of the signature.

    Args:
        manifest: bytes of manifest.json.
        private_key: PEM file (PKCS 8) with an Ed25519 key that no password protects.

    Raises:
        UsageError: the file does not hold such a key.
        MissingExtraError: the 'sign' extra is not installed.
    """
    return load_private_key(private_key).sign(manifest)


def check_signature(manifest: bytes, signature: bytes, public_key: Path) -> str | None:
    """What is wrong with a signature; None where it is valid.

    Raises:
        UsageError: ``public_key`` is not a PEM file with an Ed25519 public key.
        MissingExtraError: the 'sign' extra is not installed.
    """
    key = load_public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return f"not a signature of this manifest by the owner of {public_key}"
    return None


def load_private_key(path: Path) -> "Ed25519PrivateKey":
    """See `sign`. Called before any work, it tells early whether the key can be used."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise MissingExtraError("signing a model", "sign") from None
    key = _load(path, "private", lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 private key; make one with: openssl genpkey -algorithm ed25519")
    return key


def load_public_key(path: Path) -> "Ed25519PublicKey":
    """See `check_signature`."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise MissingExtraError("checking a signature", "sign") from None
    key = _load(path, "public", load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 public key; make it with: openssl pkey -in key.pem -pubout")
    return key


def _load(path: Path, kind: str, load: Callable[[bytes], _Key]) -> _Key:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the {kind} key {path}: {error.strerror}") from None
    except TypeError:
        raise UsageError(
            f"{path} is protected by a password, which cannot be asked for here; "
            f"write a copy without one with: openssl pkey -in {path} -out plain.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is not a PEM file with a {kind} key") from None
