"""An edit of a service's file that the service has not read yet: no read of what is active shows it (RBK-1.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from rollout.changes.backup import Backup
from rollout.core.errors import ConcurrentChange, GatewayError
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate
from rollout.core.writes import FileEdit
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import describe_writes


def refuse(target: Target, gateway: Gateway, backup: Backup, places: Iterable[ProviderChange]) -> None:
    """Refuse to go on where a key that an activation edits holds what this rollout neither found nor wrote.

    Nothing is read of a gateway whose activation edits no file, and a key that the configuration does not show is not
    judged.

    Args:
        target: the target.
        gateway: its configuration is read.
        backup: has the configuration before the change.
        places: the previous provider and model, and those that this rollout has activated.

    Raises:
        ConcurrentChange: a key was edited outside this rollout.
        GatewayError: the configuration cannot be read.
    """
    own = _own_values(target, places)
    if not own.keys() & backup.config.keys():
        return
    config = gateway.runtime_config().config
    for key in own.keys() & backup.config.keys():
        found = config.get(key)
        if found not in {*own[key], backup.config[key]}:
            raise ConcurrentChange(
                f"{key} holds {found!r} in the configuration, which this rollout neither found nor wrote: it was "
                "changed outside this rollout and is not overwritten; an operator must decide"
            )


def _own_values(target: Target, places: Iterable[ProviderChange]) -> dict[str, set[object]]:
    """Return key -> what the activations of these providers write to it; a key of other values than texts is left out.

    The configuration shows a list or a mapping key by key.
    """
    own: dict[str, set[object]] = defaultdict(set)
    for place in places:
        with suppress(GatewayError):  # one that is not among the target's providers any more is not written either
            for write in describe_writes(target, Activate(place.provider, place.model)):
                if isinstance(write, FileEdit) and write.path is not None:
                    for key, value in write.values.items():
                        own[key].add(value if isinstance(value, str) else None)
    return {key: values for key, values in own.items() if None not in values}
