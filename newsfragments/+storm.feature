Thousands of sockets that come back at once keep others waiting less: logins share looks at the database, and full garbage collections are rare.
