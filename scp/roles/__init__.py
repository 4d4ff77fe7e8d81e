"""A node in several processes, on one machine or many: each has one role, and PostgreSQL between them.

Knows who does what and when; how it is done, the rooms of `receiving`, `working` and `delivering` know.
"""
