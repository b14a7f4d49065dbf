"""What `rollout doctor`, `plan` and `emergency` say of a real LiteLLM proxy is what they do."""

from __future__ import annotations

from tests.litellm.lab import Lab
from tests.litellm.proxy import TOKEN_ENV
from tests.litellm.test_examinations import seen

KEY = "router_settings.model_group_alias.chat"


def test_doctor_recognises_the_proxy_and_its_providers_and_spends_nothing(lab: Lab) -> None:
    before = seen(lab.proxy)
    code, said = lab.end(lab.command("rollout", "doctor", f"--gateway={lab.proxy.url}", f"--token-env={TOKEN_ENV}"))
    assert code == 0, said
    assert "kind: litellm, because GET /health/liveliness answers as LiteLLM does" in said
    assert f"{lab.proxy.url}, read only; nothing was spent\n" in said
    assert "GET /health," not in said
    assert "  kind: litellm\n" in said
    assert "    group: chat\n" in said
    for each in (lab.old, lab.new):
        assert f"      {each.provider}: {each.model}\n" in said
    assert "`config` is the proxy's configuration file on this host" in said
    assert seen(lab.proxy) == before


def test_the_plan_names_the_edit_and_the_restart_and_an_emergency_makes_them(lab: Lab) -> None:
    code, planned = lab.end(lab.command("rollout", "plan", "--scenario=scenarios/proxy.yaml"))
    assert code == 0, planned
    edit = f'edit {lab.proxy.config}: {KEY} = "{lab.new.provider}"'
    forward = planned[planned.index("APP-1.2") : planned.index("the rollback would execute")]
    assert edit in forward
    assert "restart: " in forward
    assert "left out where" not in forward
    assert lab.proxy.alias == lab.old.provider
    to = (f"--provider={lab.new.provider}", f"--model={lab.new.model}", "--yes", "--reason=outage")
    code, said = lab.end(lab.command("rollout", "emergency", "--target=proxy", *to))
    assert code == 0, said
    assert lab.proxy.alias == lab.new.provider
    assert lab.proxy.answered_by() == lab.new.provider
