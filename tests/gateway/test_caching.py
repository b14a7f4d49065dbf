"""How old an answer may be, by its headers."""

from __future__ import annotations

import pytest

from rollout.gateway.caching import stale_for_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"cache-control": "max-age=10"}, 10.0),
        ({"cache-control": "public, MAX-AGE = 10"}, 10.0),
        ({"cache-control": 'max-age="10"'}, 10.0),
        ({"cache-control": "max-age=10, s-maxage=30"}, 30.0),
        ({"cache-control": "s-maxage=0, max-age=30"}, 0.0),
        ({"cache-control": "max-age=10, no-cache"}, 0.0),
        ({"cache-control": "private, max-age=10"}, 0.0),
        ({"cache-control": "no-store"}, 0.0),
        ({"cache-control": "x-max-age=10"}, 0.0),
        ({"cache-control": "max-age=soon"}, 0.0),
        ({"cache-control": "max-age=99999999999"}, 0.0),
        ({"age": "7"}, 7.0),
        ({"age": "7", "cache-control": "no-store"}, 7.0),
        ({"age": "7", "cache-control": "max-age=10"}, 10.0),
        ({"age": "12", "cache-control": "max-age=10"}, 12.0),
        ({"age": "-3"}, 0.0),
        ({"age": "soon"}, 0.0),
    ],
)
def test_an_answer_is_as_old_as_its_age_header_or_as_a_shared_cache_may_keep_it(headers, seconds):
    """What cannot be read counts as absent."""
    assert stale_for_s(headers) == seconds
