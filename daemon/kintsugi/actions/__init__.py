"""
The common parts of the verbs: commands are executed through the Kubernetes API or a client, never by a program or a shell.

Probes only read. A change is planned (judged on the live object, with its undo and its evidence), then made by exactly
one write, and can be probed when its answer was lost.
"""
