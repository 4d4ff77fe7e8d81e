"""The database itself: its file, its tables, transactions, migrations.

Does not know what a row means.
"""
