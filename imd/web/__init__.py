"""Files for browsers. They know the server only by its paths, and no other room knows them."""
