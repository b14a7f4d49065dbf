"""SSH keys for tests, made by OpenSSH's own ssh-keygen."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIRED = "ROLLOUT_REQUIRE_SSH_KEYGEN"


def need_ssh_keygen() -> None:
    """Skip the test where the program is missing, unless the environment requires it."""
    if shutil.which("ssh-keygen") is None:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, but ssh-keygen is not installed")
        pytest.skip("ssh-keygen is not installed: apt-get install openssh-client")


def make_key(folder: Path, name: str, passphrase: str = "") -> Path:
    """Return a new private key's file; its public half lies beside it."""
    need_ssh_keygen()
    key = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(key)]
    subprocess.run(words, check=True)
    return key


def listed(folder: Path, *keys: Path, options: str = "") -> Path:
    """Return a list of allowed signers: each key for ``NAME@example.com``, NAME being its file's."""
    lines = (f"{key.name}@example.com {options} {key.with_suffix('.pub').read_text()}" for key in keys)
    path = folder / "allowed_signers"
    path.write_text("".join(lines))
    return path
