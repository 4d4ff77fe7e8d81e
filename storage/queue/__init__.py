"""What was promised and is under way: arrivals, jobs, findings, deliveries, commitments.

A function that returns has changed rows in the caller's transaction; one that raises has changed nothing.
"""
