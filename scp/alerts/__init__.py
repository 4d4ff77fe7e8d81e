"""Alerts: what needs a person is told by e-mail and webhook, once, and its end too.

Knows what is wrong (`conditions`), what was told to whom (`book`) and how messages are sent; mends nothing.
What it says names peers and certificates, no patient, no study, and no text that a peer has written.
"""
