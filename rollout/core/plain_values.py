"""Which values of a `.env` file are no secrets: words, numbers, names, addresses and paths.

Every other value counts as a secret, whatever its key is called. Two kinds of secret are not recognised under a
harmless key, and count as plain words: a passphrase of dictionary words, and a random text that can be pronounced.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from rollout.core.secret_names import NameKind, classify_name

_LONGEST = 200
_MOST_WORDS = 16
_BREAKS = re.compile(r"[-_.:/@,;+|()\[\]\s]+")
_LISTED = re.compile(r"[,;\s]+")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,_]\d+)*(?:[eE][+-]?\d+)?\s?(?:%|[A-Za-z]{1,3})?")
_SMALL = re.compile(r"\d{1,8}[A-Za-z]{0,2}|\d{1,3}[xX]\d{1,4}[A-Za-z]?|\d{4}-?\d\d-?\d\dT\d{2,6}Z?")
_LETTERS = re.compile(r"([A-Za-z]{1,32})(\d{0,4})")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MOST_PARTS = 3
_SPOKEN = re.compile(r"[aeiouy]", re.IGNORECASE)
_UNSPOKEN = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}", re.IGNORECASE)
_ABBREVIATION = 4
_SEGMENT = 12
_PATH = re.compile(r"(?:~|\.{1,2})?/.*|[A-Za-z]:[\\/].*")


def is_plain(value: str) -> bool:
    """Return whether a value is no secret: ``true``, ``8000``, ``eu-west-1``, ``gpt-4o``, ``/srv/gateway``."""
    text = value.strip()
    if text in ("", "*") or _NUMBER.fullmatch(text):
        return True
    if len(text) > _LONGEST or not text.isprintable():
        return False
    if "://" in text:
        return all(_is_plain_url(each) if "://" in each else _is_words(each) for each in _LISTED.split(text))
    return _is_words(text) or (_PATH.fullmatch(text) is not None and _is_path(text))


def _is_words(text: str) -> bool:
    words = [each for each in _BREAKS.split(text) if each]
    return len(words) <= _MOST_WORDS and all(map(_is_word, words))


def _is_word(text: str) -> bool:
    if _SMALL.fullmatch(text):
        return True
    found = _LETTERS.fullmatch(text)
    if found is None:
        return False
    parts = _PARTS.findall(found[1])
    if len(parts) > 1 and (len(parts) > _MOST_PARTS or min(map(len, parts)) == 1):
        return False
    return all(map(_is_spoken, parts))


def _is_spoken(word: str) -> bool:
    return len(word) <= _ABBREVIATION or (bool(_SPOKEN.search(word)) and not _UNSPOKEN.search(word))


def _is_path(text: str) -> bool:
    """Return whether a text is a path; base64 may begin with a slash too, and then a long part of it is no word."""
    parts = [each for each in re.split(r"[\\/]", text) if each]
    return all(re.fullmatch(r"[\w.@+ :~-]+", part) and (_is_words(part) or len(part) < _SEGMENT) for part in parts)


def _is_plain_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if "@" in parts.netloc or not _is_path(parts.path) or not _is_words(parts.fragment):
        return False
    named = parse_qsl(parts.query, keep_blank_values=True)
    return all(
        classify_name(name) is NameKind.OPEN and (is_plain(part) or len(part) < _SEGMENT) for name, part in named
    )
