"""
One module a verb: its row of the grammar, its command, how it is judged, made, looked for, undone and told.

`commands.registry` names them; docs/adding-a-verb.md says how one is written.
"""
