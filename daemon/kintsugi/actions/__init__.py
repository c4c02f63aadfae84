"""
What commands do: every one of them natively, through the Kubernetes API or a client.

Reads and probes only look. A change is prepared (judged on the live object, with its undo and its evidence), then
performed by exactly one write, and can be probed when its answer was lost.
"""
