"""The shapes that cross the network, and the one codec that reads and writes them.

Transports and actions share these models: a request model is at once parser, validator, document
and type. Nothing here knows who asked or what is stored.
"""
