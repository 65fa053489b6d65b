"""A fleet in one process and in virtual time: the real refresher and the real shared store, with everything around
them made up (``make simulate``).
"""
