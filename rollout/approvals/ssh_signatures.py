"""SSH signatures (``ssh-keygen -Y``): with existing keys of people and pipelines, and lists of allowed signers."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rollout.core.errors import RolloutError

TIMEOUT_S = 10.0
_INSTALL = "install OpenSSH's client (Debian: openssh-client)"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]+", re.ASCII)


class SigningError(RolloutError):
    """Nothing was signed, or a signature does not vouch for what it stands beside."""


class Unvouched(SigningError):
    """Everything needed was there, and the signature does not vouch for what it stands beside."""


def sign(payload: bytes, key: Path, namespace: str, *, timeout_s: float | None = TIMEOUT_S) -> str:
    """Return the armoured signature of `payload`.

    Args:
        payload: the bytes to sign.
        key: a private key's file; or a public key's, whose private half ssh-agent holds.
        namespace: what the signature is for, so that one for something else does not pass for it.
        timeout_s: seconds until it ends, without a prompt for a passphrase; None allows the prompt.

    Raises:
        SigningError: there is no such key, it cannot be used without its passphrase, or ssh-keygen is missing or slow.
    """
    if not key.is_file():
        raise SigningError(f"{key}: there is no such key; name the file of an SSH key")
    # Without a file to sign, ssh-keygen reads its standard input and writes the signature to its output.
    done = _ssh_keygen(["-Y", "sign", "-n", namespace, "-f", str(key)], payload, timeout_s)
    if done.returncode or not done.stdout:
        raise SigningError(
            f"{key}: ssh-keygen does not sign with it ({_reason(done)}); name a private key that needs no passphrase, "
            "or its public half while ssh-agent holds the key"
        )
    return done.stdout.decode("ascii")


def verify(
    payload: bytes, signature: str, principal: str, allowed_signers: Path, namespace: str, at: datetime | None = None
) -> None:
    """Check that `principal` signed `payload` for `namespace`; return if so.

    Args:
        payload: the signed bytes.
        signature: as `sign` returned it.
        principal: who must have signed, by their name in the list.
        allowed_signers: the list, in the format of ``ssh-keygen(1)``, ALLOWED SIGNERS.
        namespace: what the signature must be for.
        at: the moment at which the key must have been valid, where the list limits that; None is now.

    Raises:
        Unvouched: they did not.
        SigningError: the list is missing, or ssh-keygen is.
    """
    with _signature_file(signature, allowed_signers) as file:
        words = ["-Y", "verify", "-n", namespace, "-I", principal, "-f", str(allowed_signers), "-s", file.name]
        done = _ssh_keygen([*words, *_valid_at(at)], payload)
    if done.returncode:
        raise Unvouched(f"the signature is not {principal}'s of this very content ({_reason(done)})")


def signer(signature: str, allowed_signers: Path, at: datetime | None = None) -> str:
    """Return the principal of the list whose key made the signature; `verify` checks what it covers.

    Raises:
        Unvouched: no key of the list made it.
        SigningError: the list is missing, or ssh-keygen is.
    """
    with _signature_file(signature, allowed_signers) as file:
        done = _ssh_keygen(["-Y", "find-principals", "-f", str(allowed_signers), "-s", file.name, *_valid_at(at)], b"")
    found = done.stdout.decode("utf-8", "replace").split()
    if done.returncode or not found:
        raise Unvouched(f"no key in {allowed_signers} made the signature ({_reason(done)})")
    return found[0].partition(",")[0]


def key_of(payload: bytes, signature: str, namespace: str) -> str:
    """Return the fingerprint of the key that signed `payload` for `namespace`; its owner is not checked.

    Raises:
        Unvouched: the signature is none, or is over something else or for something else.
        SigningError: ssh-keygen is missing or slow.
    """
    with _in_a_file(signature) as file:
        done = _ssh_keygen(["-Y", "check-novalidate", "-n", namespace, "-s", file.name], payload)
    found = _FINGERPRINT.search(done.stdout.decode("utf-8", "replace"))
    if done.returncode or found is None:
        raise Unvouched(f"the signature is not over this very content ({_reason(done)})")
    return found[0]


def principals(allowed_signers: Path) -> tuple[str, ...]:
    """Return the names, or patterns of names, that the list has keys for.

    Raises:
        SigningError: the list cannot be read.
    """
    try:
        lines = allowed_signers.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise SigningError(f"{allowed_signers}: cannot be read ({problem.strerror})") from None
    firsts = [line.split()[0].strip('"') for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(name for first in firsts for name in first.split(","))


def _signature_file(signature: str, allowed_signers: Path) -> tempfile._TemporaryFileWrapper[bytes]:
    if not allowed_signers.is_file():
        raise SigningError(f"{allowed_signers}: there is no such list of allowed signers (see ssh-keygen(1))")
    return _in_a_file(signature)


def _in_a_file(signature: str) -> tempfile._TemporaryFileWrapper[bytes]:
    file = tempfile.NamedTemporaryFile(prefix="signature-")  # noqa: SIM115 - the caller's `with` closes it
    file.write(signature.encode())
    file.flush()
    return file


def _valid_at(at: datetime | None) -> list[str]:
    return [] if at is None else [f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}Z"]


def _ssh_keygen(
    arguments: list[str], payload: bytes, timeout_s: float | None = TIMEOUT_S
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603 - an argument list of our own making
            ["ssh-keygen", *arguments],  # noqa: S607 - the user's own, wherever it is installed
            input=payload,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            # Without a terminal there is no prompt to wait for.
            start_new_session=timeout_s is not None,
            env={**os.environ, "LC_ALL": "C", **({} if timeout_s is None else {"SSH_ASKPASS_REQUIRE": "never"})},
        )
    except FileNotFoundError:
        raise SigningError(f"ssh-keygen is not installed; {_INSTALL}") from None
    except OSError as problem:
        raise SigningError(f"ssh-keygen cannot be started ({problem.strerror}); {_INSTALL}") from None
    except subprocess.TimeoutExpired:
        raise SigningError(f"ssh-keygen gave no answer for {timeout_s:g} s") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reasons = [line.strip() for line in lines if not line.startswith("Signing data on standard input")]
    return "; ".join(reasons[:2]) or f"exit code {done.returncode}"
