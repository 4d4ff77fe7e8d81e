"""Where a point of the network's input lies in the source: the way back of `Geometry.to_input`."""


def to_source(geometry, column, row):
    """Return column and row in the source."""
    left, top, right, bottom = geometry.box
    across = column * (right - left) / geometry.width
    return (
        right - across if geometry.mirrored else left + across,
        top + (row - geometry.top) * (bottom - top) / geometry.height,
    )
