"""
The first schema, which has no statements: `schema.migrate` makes a new ledger from `kintsugi.ledger.store.tables`.

The identifiers `0001` to `0019` and `1` to `3` are of ledgers that cannot be read. So a revision is named `v` and its number.
"""

revision = "v1"
down_revision = None
