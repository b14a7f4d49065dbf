"""An edit of a service's file that the service has not read yet: no read of what is active shows it (RBK-1.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from rollout.changes import executor
from rollout.changes.backup import Backup
from rollout.changes.read_back import await_effect
from rollout.context import RolloutContext
from rollout.core.errors import ConcurrentChange, GatewayError
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split, Wish
from rollout.core.writes import FileEdit
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import describe_writes

_EDIT_ENDS_WITHIN_S = 1.0
"""How long an editor may take that writes a file in place, in seconds."""


def refuse(
    rollout: RolloutContext,
    gateway: Gateway,
    backup: Backup,
    places: Iterable[ProviderChange],
    splits: Iterable[Split] = (),
) -> None:
    """Refuse to go on where a key that this rollout edits holds what it neither found nor wrote.

    Nothing is read of a gateway whose activation edits no file, and a key that the configuration does not show is not
    judged.

    Args:
        rollout: the rollout; its redactor has seen the backup.
        gateway: its configuration is read.
        backup: has the configuration before the change.
        places: the previous provider and model, and those that this rollout has activated.
        splits: those that this rollout may have set.

    Raises:
        ConcurrentChange: a key was edited outside this rollout.
        GatewayError: the configuration cannot be read.
    """
    wishes: tuple[Wish, ...] = (*(Activate(place.provider, place.model) for place in places), *splits)
    own = _own_values(rollout.target, wishes)
    if not own.keys() & backup.config.keys():
        return
    config = dict(gateway.runtime_config().config)
    shown = rollout.redactor.value(config)
    for key in sorted(own.keys() & backup.config.keys()):
        if config.get(key) not in own[key] and shown.get(key) != backup.config[key]:
            raise ConcurrentChange(
                f"{key} holds {shown.get(key)!r} in the configuration, which this rollout neither found nor wrote: it "
                "was changed outside this rollout and is not overwritten; an operator must decide"
            )


def refuse_unstartable(rollout: RolloutContext, places: Iterable[ProviderChange]) -> None:
    """Refuse to go on where the service would not start with what its files hold now.

    What this rollout found and what it wrote were examined before they were written, so another one has edited the file
    since. The service goes on with what it has read; a restart would end it.

    Args:
        rollout: the rollout; an edit that is under way has a moment to end.
        places: the previous provider and model, and those that this rollout has activated.

    Raises:
        ConcurrentChange: it would not start, and that is still so a moment later.
    """
    known = tuple(places)
    problem = await_effect(
        lambda: "; ".join(executor.find_unstartable(rollout, known)), _EDIT_ENDS_WITHIN_S, clock=rollout.clock
    )
    if problem:
        raise ConcurrentChange(
            f"{problem}. It was changed outside this rollout, and the service would not start with it: nothing is "
            "overwritten, and the service is not restarted, so that it goes on with what it has read; an operator must "
            "correct the file, and then run the manual commands"
        )


def _own_values(target: Target, wishes: Iterable[Wish]) -> dict[str, set[object]]:
    """Return key -> what these wishes write to it, as the configuration shows it; a list or a mapping is left out.

    The configuration shows a list or a mapping key by key.
    """
    own: dict[str, set[object]] = defaultdict(set)
    for wish in wishes:
        with suppress(GatewayError):  # one that is not among the target's providers any more is not written either
            for write in describe_writes(target, wish):
                if isinstance(write, FileEdit) and write.path is not None:
                    for key, value in write.values.items():
                        own[key].add(str(value) if isinstance(value, (str, int, float)) else None)
    return {key: values for key, values in own.items() if None not in values}
