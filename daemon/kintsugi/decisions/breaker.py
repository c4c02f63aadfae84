"""
The breaker: signs that the observer is at fault, and not the services that it observes.

Pure. A share of unhealthy services alone is no sign: where kubelets report and containers say why they ended, services are broken.
"""

from dataclasses import dataclass

MANY = 3
"""Of more services than these an unexplained unhealthy majority is a sign in itself: the path to all of them is the cause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObserverHealth:
    """
    The health of the observer.

    `stale_reason` names what is unsynced, stale or not answered by the API. `nodes_stale` counts nodes whose kubelet
    does not report (its lease has run out), `nodes_back` those that have begun to again only just now: what is known of
    their pods is from before. `names` says why our own name server does not answer, `checks` why the path of our own
    checks is in doubt ("" for neither). `mute` counts, of `seen` services, the unhealthy ones without a known reason;
    those that fail under one unhealthy upstream, or behind one Kubernetes Service, count once.
    """

    stale_reason: str = ""
    nodes: int = 0
    nodes_stale: int = 0
    nodes_back: int = 0
    names: str = ""
    checks: str = ""
    mute: int = 0
    seen: int = 0


def signs(observer: ObserverHealth, share: float) -> tuple[str, ...]:
    """Return the signs that the observer is at fault; a failing `share` of the nodes or services is one."""
    found = []
    if observer.nodes_stale + observer.nodes_back > observer.nodes * share:
        counts = {"do not report": observer.nodes_stale, "have just started to report again": observer.nodes_back}
        found += [f"{count} of {observer.nodes} nodes {what}" for what, count in counts.items() if count]
    if observer.names:
        found.append(f"Kintsugi's own name server does not answer ({observer.names})")
    if observer.checks:
        found.append(observer.checks)
    if observer.seen > MANY and observer.mute > observer.seen * share:
        found.append(
            f"{observer.mute} of {observer.seen} unrelated services are unhealthy, and no container reports a reason"
        )
    return tuple(found)


def breaker_reason(observer: ObserverHealth, share: float) -> str:
    """Return why the observer is suspected, with the signs, "" when it is not."""
    found = signs(observer, share)
    return f"the observer is suspected first: {'; '.join(found)}" if found else ""


def doubt(observer: ObserverHealth, share: float) -> str:
    """Return why the observed state may not be acted upon (it is stale, or the observer is suspected), "" when it may."""
    return observer.stale_reason or breaker_reason(observer, share)
