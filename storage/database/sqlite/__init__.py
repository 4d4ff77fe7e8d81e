"""SQLite: one file beside the images, for one machine. What a file can suffer is known here."""
