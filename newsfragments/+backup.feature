`imdctl backup` copies the database whole while the server runs; `imdctl restore` puts a copy back, all of it or nothing, and clients load anew.
