"""
The verbs, one module each: the row of the grammar, the command, and how it is planned, applied, probed, undone and
summarised.

`commands.registry` names them; docs/adding-a-verb.md shows how one is written.
"""
