"""
What any client or server of the Kubernetes API must agree upon: the kinds of objects with their places, selectors, and quantities.
"""
