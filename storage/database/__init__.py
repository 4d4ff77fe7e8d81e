"""The database itself: its file or server, its tables, transactions, migrations.

Does not know what a row means.
"""
