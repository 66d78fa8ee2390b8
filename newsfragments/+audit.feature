An audit trail of administrative acts, membership changes, recalls, card changes and reads by services; `imdctl audit show` and `imdctl audit verify`.
