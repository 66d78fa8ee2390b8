`twistd -n imd --workers N`: a supervisor and N processes on one port, replaced one by one at SIGHUP; one `/metrics` of all. `docs/operation.md`, nginx and systemd files.
