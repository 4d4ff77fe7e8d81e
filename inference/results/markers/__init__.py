"""What draws a region on the original image: Mammography CAD SR and Presentation State.

Both are for peers that ask for them: the report draws the same regions.
"""
