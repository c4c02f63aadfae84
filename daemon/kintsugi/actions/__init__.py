"""
What the verbs are built on: commands are executed through the Kubernetes API or a client, never by a program or a shell.

`actions` finds the verb of a command, `verb_bases` has what all verbs of a kind do. Probes only read (`probe`). A change is planned
(`loaded_target`, `preconditions`: judged on the live object, with its undo and its evidence), then made by exactly one write
(`effect_plan`), and can be probed when its answer was lost. What only one verb needs is in its module.
"""
