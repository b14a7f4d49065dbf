"""Whether a change is possible on its target, as far as the files say."""

from __future__ import annotations

from rollout.config.capabilities import explain_no_environment
from rollout.config.changes import PlacedChange
from rollout.config.restarts import SERVICE, refuse_lesser_restart
from rollout.config.schemas.changes import ActivationSchema
from rollout.config.source import Place, Source
from rollout.core.scenario import EnvironmentChange, ProviderChange
from rollout.core.target import Target


def refuse_impossible(placed: PlacedChange, target: Target, source: Source, *, may_be_embedded: bool) -> None:
    """Refuse a change that is not possible on its target.

    Args:
        placed: the change.
        target: where it goes.
        source: the scenario.
        may_be_embedded: it may be an embedded gateway, which has a service and a `.env` file of its own.
    """
    if isinstance(placed.change, EnvironmentChange):
        if why := explain_no_environment(placed.change, target):
            remedy = "remove it, and edit the service's file by hand, outside of a rollout"
            source.refuse(placed.place, f"cannot be made on target {target.name!r}, for {why}; {remedy}")
            return
        refuse_lesser_restart(placed.change, placed.place, target, source)
        for key, place in placed.places():
            if key in {target.provider_key, target.model_key}:
                source.refuse(place, f"{key} is what an activation writes; use `{ActivationSchema.example}` for it")
        if not may_be_embedded:
            _refuse_out_of_reach(placed.place, target, source)
    elif isinstance(placed.change, ProviderChange):
        refuse_restart(placed.change, placed.place, target, source, may_be_embedded=may_be_embedded)


def refuse_restart(
    change: ProviderChange, place: Place, target: Target, source: Source, *, may_be_embedded: bool
) -> None:
    """Refuse an activation that needs a restart on a target without a service, or less of one than the target does."""
    refuse_lesser_restart(change, place, target, source)
    if change.restart and target.service is None and not may_be_embedded:
        source.refuse((*place, "restart"), f"target {target.name!r} has no `service:` to restart; {SERVICE}")


def _refuse_out_of_reach(place: Place, target: Target, source: Source) -> None:
    words = f"changes the .env file, and target {target.name!r}"
    if target.service is None:
        source.refuse(place, f"{words} has no `service:` to restart; {SERVICE}")
    if target.env_file is None and not (target.service and target.service.read):
        file = "`env_file:` if it is on this host, or `read:` and `write:` commands under `service:`"
        source.refuse(place, f"{words} does not say where it is; write {file}")
