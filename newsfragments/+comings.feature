`user.online` and `user.offline` come once for a user, however many processes its sockets are in, moves between or outlives; events that the database did not take are said again.
