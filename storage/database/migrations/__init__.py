"""Alembic's migrations of the database: one released, unchanging step a file."""
