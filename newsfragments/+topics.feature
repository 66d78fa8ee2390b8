Topics (consults): start, enter, end, lists by state and team, reply statistics; at most one is live in a session.
