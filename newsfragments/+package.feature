A Debian package with its own Python libraries: `make deb`; service, socket, `imdctl` with completion and manual pages, a secret made at installation.
