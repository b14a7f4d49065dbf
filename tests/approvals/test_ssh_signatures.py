"""SSH signatures: made and checked with OpenSSH's own ssh-keygen."""

from datetime import UTC, datetime

import pytest

from rollout.approvals import ssh_signatures
from rollout.approvals.ssh_signatures import SigningError, sign, signer, verify
from tests.support.keys import listed, make_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def alice(folder):
    return make_key(folder, "alice")


@pytest.fixture(scope="module")
def signed(alice):
    return sign(b"content", alice, "rollout-test")


def test_a_signature_vouches_for_its_content_and_names_its_signer(folder, alice, signed):
    """The one who signed is found in the list, and what they signed is accepted."""
    allowed = listed(folder, alice)
    assert signer(signed, allowed) == "alice@example.com"
    verify(b"content", signed, "alice@example.com", allowed, "rollout-test")


@pytest.mark.parametrize(
    ("payload", "principal", "namespace"),
    [
        (b"Content", "alice@example.com", "rollout-test"),
        (b"content", "bob@example.com", "rollout-test"),
        (b"content", "alice@example.com", "rollout-other"),
    ],
    ids=["another content", "another signer", "another purpose"],
)
def test_a_signature_vouches_for_nothing_else(tmp_path, alice, signed, payload, principal, namespace):
    """Another content, another signer or another purpose is refused."""
    allowed = listed(tmp_path, alice, make_key(tmp_path, "bob"))
    with pytest.raises(SigningError, match=f"the signature is not {principal}'s of this very content"):
        verify(payload, signed, principal, allowed, namespace)


def test_a_key_that_is_not_in_the_list_vouches_for_nothing(tmp_path, signed):
    """A stranger's signature has no signer."""
    with pytest.raises(SigningError, match=r"no key in .*allowed_signers made the signature"):
        signer(signed, listed(tmp_path, make_key(tmp_path, "mallory")))


def test_a_key_is_judged_at_the_moment_of_its_signature(tmp_path, alice, signed):
    """A key that has expired since still vouches for what it signed before."""
    allowed = listed(tmp_path, alice, options='valid-before="20260401Z"')
    verify(b"content", signed, "alice@example.com", allowed, "rollout-test", at=NOW)
    with pytest.raises(SigningError):
        verify(b"content", signed, "alice@example.com", allowed, "rollout-test", at=NOW.replace(month=5))


def test_a_key_with_a_passphrase_is_refused_without_asking_anybody(tmp_path):
    """There is no terminal to type it at, and no wait."""
    with pytest.raises(SigningError, match="needs no passphrase, or its public half while ssh-agent"):
        sign(b"content", make_key(tmp_path, "locked", "secret"), "rollout-test")


def test_what_is_missing_is_named(tmp_path, alice, signed, monkeypatch):
    """The key, the list, and ssh-keygen itself."""
    with pytest.raises(SigningError, match=r"nobody: there is no such key"):
        sign(b"content", tmp_path / "nobody", "rollout-test")
    with pytest.raises(SigningError, match=r"nobody: there is no such list of allowed signers"):
        signer(signed, tmp_path / "nobody")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match="ssh-keygen is not installed"):
        sign(b"content", alice, "rollout-test")


def test_an_ssh_keygen_that_hangs_ends_at_its_deadline(tmp_path, alice, monkeypatch):
    """It is killed, and said."""
    slow = tmp_path / "ssh-keygen"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match=r"no answer for 0\.1 s"):
        sign(b"content", alice, "rollout-test", timeout_s=0.1)
    assert ssh_signatures.TIMEOUT_S < 60
