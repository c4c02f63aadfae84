"""
The common parts of clients and servers of the Kubernetes API: kinds of objects with their paths, selectors, quantities.
"""
