A removed member is told nothing that is committed after the removal, in whichever process its sockets are, with or without Redis.
