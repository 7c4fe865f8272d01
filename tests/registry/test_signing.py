import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mnist_pipeline.errors import MissingExtraError, UsageError
from mnist_pipeline.registry.signing import sign

Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def write_private(path: Path, key: Key, protection: KeySerializationEncryption | None = None) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption()))
    return path


def write_public(path: Path, key: Key) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key = ed25519.Ed25519PrivateKey.generate()
    return write_private(tmp_path / "key.pem", key), write_public(tmp_path / "public.pem", key)


def test_a_signed_version_verifies_with_its_key_and_with_no_other(registry, publish, keys, tmp_path) -> None:
    private, public = keys
    publish(1, sign_key=private)
    other = write_public(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.generate())

    assert registry.verify("mnist") == []
    assert registry.verify("mnist", public_key=public) == []
    (finding,) = registry.verify("mnist", public_key=other)
    assert (finding.file, finding.problem) == (
        "manifest.json.sig",
        f"not a signature of this manifest by the owner of {other}",
    )


def test_with_a_key_an_unsigned_version_is_a_finding(registry, publish, keys) -> None:
    publish(1)
    assert [(f.file, f.problem) for f in registry.verify("mnist", public_key=keys[1])] == [
        ("manifest.json.sig", "missing")
    ]


def test_a_changed_or_lost_signature_is_found_without_a_key(registry, publish, keys) -> None:
    one = publish(1, sign_key=keys[0])
    signature = one.directory / "manifest.json.sig"
    data = signature.read_bytes()
    signature.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    assert [f.problem.split(":")[0] for f in registry.verify("mnist")] == ["changed"]
    signature.unlink()
    assert [f.problem for f in registry.verify("mnist")] == ["missing"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_agrees(publish, tmp_path) -> None:
    def openssl(*arguments: object) -> str:
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True)
        return done.stdout

    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    folder = publish(1, sign_key=private).directory
    said = openssl(
        "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public,
        "-in", folder / "manifest.json", "-sigfile", folder / "manifest.json.sig",
    )  # fmt: skip
    assert "Verified Successfully" in said


def test_keys_that_cannot_be_used_say_why(registry, publish, keys, tmp_path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    locked = write_private(tmp_path / "locked.pem", key, BestAvailableEncryption(b"secret"))
    curve = write_private(tmp_path / "curve.pem", ec.generate_private_key(ec.SECP256R1()))
    junk = tmp_path / "junk.pem"
    junk.write_text("no key")
    for path, reason in (
        (locked, "protected by a password"),
        (curve, "not an Ed25519 private key"),
        (junk, "not a PEM file with a private key"),
        (keys[1], "not a PEM file with a private key"),
        (tmp_path / "absent.pem", "cannot read the private key"),
    ):
        with pytest.raises(UsageError, match=reason):
            publish(1, sign_key=path)
    assert registry.versions("mnist") == []
    publish(1, sign_key=keys[0])
    for path, reason in ((curve, "not a PEM file with a public key"), (tmp_path / "absent.pem", "cannot read")):
        with pytest.raises(UsageError, match=reason):
            registry.verify("mnist", public_key=path)


def test_without_the_extra_it_says_what_to_install(monkeypatch, keys) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(MissingExtraError, match=r"mnist-pipeline\[sign\]"):
        sign(b"", keys[0])
