"""
The verbs, one module each: the grammar's row, the command, its plan, its write, its probe, its undo and its summary.

`commands.registry` names them; docs/adding-a-verb.md shows how one is written.
"""
