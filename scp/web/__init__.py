"""What comes in by HTTP: images by STOW-RS (PS3.18 10.5), kept on the same way as those of C-STORE.

Knows requests, tokens and bodies in parts; how an image is kept, `scp.receiving` knows.
"""
