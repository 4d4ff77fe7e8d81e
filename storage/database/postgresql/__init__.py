"""PostgreSQL: a server that several machines reach. What a connection can suffer is known here."""
