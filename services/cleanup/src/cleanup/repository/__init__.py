"""The queries, by the rows they work on; every time is the database's."""
