"""The audit trail: who sent what about whom, for an audit repository (PS3.15 A.5 to A.7, IHE ITI-20).

It writes and sends messages and knows neither associations nor rows: the other rooms tell it what happens.
"""
