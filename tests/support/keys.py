"""SSH keys for tests, made by OpenSSH's own ssh-keygen."""

import subprocess
from pathlib import Path


def make_key(folder: Path, name: str, passphrase: str = "") -> Path:
    """Return a new private key's file; its public half lies beside it."""
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
