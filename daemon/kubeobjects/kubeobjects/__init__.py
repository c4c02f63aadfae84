"""
The common parts of clients and servers of the Kubernetes API: the kinds of objects with their paths, selectors, and
quantities.
"""
