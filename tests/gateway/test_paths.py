"""The paths of the calls."""

import pytest

from rollout.gateway.endpoints import DEFAULTS, filled, filled_path, path_of


def test_the_documented_path_is_used_unless_the_target_moves_it():
    assert path_of("health", {}) == "/health"
    assert path_of("health", {"health": "/healthz"}) == "/healthz"


def test_a_providers_name_is_percent_encoded():
    assert path_of("metrics", {}, "a/b ü?#") == "/api/v1/providers/a%2Fb%20%C3%BC%3F%23/metrics"


def test_braces_of_another_meaning_stay():
    assert path_of("status", {"status": "/{tenant}/{provider}"}, "openai") == "/{tenant}/openai"


def test_another_calls_path_takes_what_is_asked_for_percent_encoded():
    template = "/api/{model}/x?for={provider}&say={prompt}&{tenant}"
    assert filled_path(template, provider="a/b", model="gemma3:4b") == (
        "/api/gemma3%3A4b/x?for=a%2Fb&say={prompt}&{tenant}"
    )


def test_what_is_filled_in_is_not_filled_in_again():
    assert filled("{prompt} by {model}", prompt="say {model}", model="{prompt}") == "say {model} by {prompt}"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_changes_the_path_is_refused(name):
    with pytest.raises(ValueError, match="cannot be a provider's name"):
        path_of("activate", {}, name)
    with pytest.raises(ValueError, match="cannot be a provider's name"):
        filled_path("/servers/{provider}", provider=name)


def test_every_call_about_a_provider_has_a_place_for_its_name():
    assert {call for call, path in DEFAULTS.items() if "{provider}" in path} == {
        "status",
        "test_connection",
        "preflight",
        "activate",
        "metrics",
        "provider_health",
    }
