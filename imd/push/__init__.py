"""Tells people and the platform, outside imd's sockets, what they have not seen (page 4.4).

Adapters beside storage and delivery: the postman takes what is due and hands it to the channels.
"""
