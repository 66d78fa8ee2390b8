At a stop systemd is told how long it may take, so a long `http.drain` needs no other `TimeoutStopSec`.
