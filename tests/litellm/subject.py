"""A LiteLLM proxy as a subject of the conformance kit; it is reached through a proxy of ours, which breaks it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.testing.subject import Fault, State
from tests.litellm.proxy import FIRST, SECOND, Proxy
from tests.support.liar import Liar, hang, html


class LiteLLMSubject:
    """One proxy without a key, because the kit sends none."""

    first: ProviderChange = FIRST
    second: ProviderChange = SECOND

    def start(self, folder: Path) -> Target:
        """Start upstreams, proxy, and what breaks it."""
        self._open, self._mended = ExitStack(), ExitStack()
        self._proxy = Proxy(folder, has_key=False)
        self._open.callback(self._proxy.close)
        self._start_or_close()
        self._liar = self._open.enter_context(Liar(self._proxy.url))
        return replace(self._proxy.target(examination="paid"), url=self._liar.url, token_env=None)

    def _start_or_close(self) -> None:
        """Start the proxy; the kit does not stop what it could not start."""
        try:
            self._proxy.start()
        except BaseException:
            self._open.close()
            raise

    def state(self) -> State:
        """Return which upstream answers a user, and the file."""
        answered = self._proxy.answered_by()
        [active] = [each for each in (FIRST, SECOND) if each.provider == answered]
        return State(
            str(active), len(self._liar.requests), {"answered": answered, "file": self._proxy.config.read_bytes()}
        )

    def restart(self) -> None:
        """Stop the proxy, and start it on the same port."""
        self._proxy.stop()
        self._proxy.start()

    def break_down(self, fault: Fault) -> None:
        """Break what the kit reaches, or the second provider."""
        match fault:
            case Fault.OFFLINE:
                upstream = self._proxy.upstreams[SECOND.provider]
                upstream.off()
                self._mended.callback(upstream.heal)
            case Fault.DOWN:
                self._mended.enter_context(self._liar.down())
            case Fault.GARBAGE:
                self._mended.callback(self._liar.rule("", html()).remove)
            case Fault.HANG:
                self._mended.callback(self._liar.rule("", hang()).remove)

    def heal(self) -> None:
        """Mend it."""
        self._mended.close()

    def stop(self) -> None:
        """End the proxy and the upstreams."""
        self._open.close()
