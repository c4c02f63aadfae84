"""Requests for runs to the in-memory ledger, noted; where a test says so they wait for their turn, or are made twice."""

import asyncio
from datetime import datetime

from kintsugi.ledger import Decide, RunRequest, RunRequestResult
from kintsugi.ledger.run_requests import RunRequestRepository
from kintsugi.ledger.store import Store


class NotedRequests(RunRequestRepository):
    """
    Requests of which each is noted before it is decided.

    One of an incident that waited takes `turn` seconds to be decided; with `twice` its first answer is lost on the way. What is
    `raised` is so by the requests of a signal, by its id.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked: list[RunRequest] = []
        self.turn = 0.0
        self.twice = False
        self.raised: dict[str, Exception] = {}

    async def request_run(self, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """Note a request, and decide it."""
        self.asked.append(request)
        if request.signal is not None and request.signal.id in self.raised:
            raise self.raised[request.signal.id]
        return await super().request_run(request, decide, now)

    async def start_held(self, incident: str, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """Note a request, and decide it when it is its turn."""
        self.asked.append(request)
        await asyncio.sleep(self.turn)
        if self.twice:
            await super().start_held(incident, request, decide, now)
        return await super().start_held(incident, request, decide, now)
