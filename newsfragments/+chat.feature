`imdctl chat` opens a socket on the terminal.
