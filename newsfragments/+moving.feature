`imdctl import-legacy` moves an original database (MySQL, MariaDB, PostgreSQL, SQLite) into imd: it may be killed and goes on, later runs add what is new, and a comparison ends it.
