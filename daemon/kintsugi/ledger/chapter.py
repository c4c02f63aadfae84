"""What the parts of the ledger have in common: the store that they write to."""

from kintsugi.ledger.store import Store


class Chapter:
    """One concern of the ledger; `Ledger` binds the chapters together."""

    def __init__(self, store: Store) -> None:
        self._store = store
