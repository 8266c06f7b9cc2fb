"""Tables of any database that SQLAlchemy reaches, as sink and as source."""
