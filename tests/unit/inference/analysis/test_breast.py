import numpy as np
import pytest
from scipy import ndimage

from inference.analysis import breast
from inference.errors import Failed
from inference.reading import pixels
from inference.reading.pixels import Picture
from tests.support.mammograms import mammogram, pixel_values, write

ROWS, COLUMNS = 640, 512


def drawn(laterality="L", view="MLO", *, rows=ROWS, columns=COLUMNS):
    return pixel_values(laterality, view, rows=rows, columns=columns, bits=8).astype(np.float32) / 255


def truth(grey):
    """The drawn breast: all that is brighter than the drawn background."""
    return grey > 0.1


def find(grey, padding=None):
    return breast.find(Picture(grey=grey.astype(np.float32), padding=padding))


def overlap(first_breast, second_breast):
    return (first_breast & second_breast).sum() / (first_breast | second_breast).sum()


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize(("rows", "columns"), [(640, 512), (641, 511), (150, 101), (1500, 1200)])
def test_the_mask_is_the_breast(laterality, view, rows, columns):
    grey = drawn(laterality, view, rows=rows, columns=columns)
    outline = find(grey)
    assert outline.mask.shape == grey.shape
    assert overlap(outline.mask, truth(grey)) > 0.96
    assert outline.chest_wall == ("left" if laterality == "L" else "right")


def test_the_box_is_that_of_the_mask():
    outline = find(drawn("R"))
    left, top, right, bottom = outline.box
    rows, columns = np.nonzero(outline.mask)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def framed(grey):
    grey = grey.copy()
    grey[:6], grey[-9:], grey[:, -7:] = 1, 1, 1
    return grey


def askew(grey):
    grey = grey.copy()
    for row in range(ROWS):
        grey[row, : 2 + row // 100] = 1
    return grey


def labelled(grey):
    grey = grey.copy()
    grey[40:100, 380:470] = 1
    grey[50:90, 400:410] = 0
    return grey


def touching(grey):
    """Thin letters and a line that run into the breast."""
    grey = grey.copy()
    grey[300:306, 300:] = 1
    grey[340:350, 330:420] = 0.9
    return grey


def barred(grey):
    grey = grey.copy()
    grey[:, 440:490] = 1
    return grey


def lettered(grey):
    """Black margins left and right, as mini-MIAS pads its films to squares."""
    return np.pad(grey, ((0, 0), (150, 120)))


@pytest.mark.parametrize("spoil", [framed, askew, labelled, touching, barred, lettered])
def test_frames_labels_and_margins_are_masked(spoil):
    clean = drawn("L")
    outline = find(spoil(clean))
    expected = truth(lettered(clean) if spoil is lettered else clean)
    assert overlap(outline.mask, expected) > 0.93
    assert outline.chest_wall == "left"


def test_a_fogged_film_edge_along_the_chest_wall_is_cut_off():
    grey = drawn("L", "CC")
    top = np.flatnonzero(truth(grey).any(axis=1))[0]
    grey[:, :25] = np.maximum(grey[:, :25], 0.25)
    assert find(grey).box[1] > top - 20


def turned(grey, turn):
    """Quarter turns anticlockwise, so that one drawing serves all four borders."""
    return np.rot90(grey, turn).copy()


def rimmed(grey, *, width, slope=0.0):
    """A film's white rim at the left border, ``width`` pixels at the top, ``slope`` more in each row."""
    grey = grey.copy()
    for row in range(len(grey)):
        grey[row, : round(width + slope * row)] = 0.98
    return grey


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("width", [2, 3, 8, 15])
def test_a_white_rim_along_the_chest_wall_is_no_breast(laterality, view, width):
    grey = drawn(laterality, view)
    flip = 1 if laterality == "L" else -1
    spoiled = rimmed(grey[:, ::flip], width=width)[:, ::flip]
    outline = find(spoiled)
    assert not outline.mask[:, ::flip][:, :width].any()
    assert overlap(outline.mask[:, ::flip][:, width + 5 :], truth(grey)[:, ::flip][:, width + 5 :]) > 0.96
    assert outline.chest_wall == ("left" if laterality == "L" else "right")


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_white_rim_at_any_border_and_askew_is_no_breast(turn):
    grey = drawn("L", "MLO")
    spoiled = turned(rimmed(turned(grey, turn), width=4, slope=0.015), -turn)
    white = spoiled != grey
    outline = find(spoiled)
    assert (outline.mask & white).sum() < 0.02 * white.sum()
    assert overlap(outline.mask, truth(grey) & ~white) > 0.95


def test_a_rim_goes_on_where_a_white_muscle_hides_its_edge():
    grey = np.clip(drawn("L", "MLO"), 0, 0.8)
    rows, columns = np.indices(grey.shape)
    muscle = columns < 150 - rows * 0.5
    outline = find(rimmed(np.where(muscle & truth(grey), 0.96, grey), width=8))
    assert not outline.mask[:, :8].any()
    assert outline.mask[100:200, 14:60].all()


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("level", [0.9, 0.96, 1.0])
def test_a_white_muscle_without_a_rim_stays(laterality, level):
    grey = drawn(laterality, "MLO")
    flip = 1 if laterality == "L" else -1
    rows, columns = np.indices(grey.shape)
    muscle = ((columns < 150 - rows * 0.5) & truth(grey)[:, ::flip])[:, ::flip]
    white = ndimage.gaussian_filter(np.where(muscle, np.float32(level), grey), 2)
    outline = find(np.where(truth(grey), white, grey))
    assert outline.mask[muscle].mean() > 0.99


def bellied(grey, *, width, flare=0.0):
    """A belly below the breast: ``width`` pixels wide at the fold, ``flare`` more in each row below."""
    grey = grey.copy()
    tissue = truth(grey)
    widths = tissue.sum(axis=1)
    fold = int(np.flatnonzero(widths > width)[-1])
    for row in range(fold, len(grey)):
        grey[row, : round(width + flare * (row - fold))] = 0.4
    return grey, fold


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize(("width", "flare"), [(30, 0.0), (60, 0.0), (60, 0.2), (90, 0.0), (80, -0.2)])
def test_a_belly_below_the_breast_is_cut_off(laterality, width, flare):
    grey = drawn("L", "MLO", rows=520, columns=512)
    spoiled, fold = bellied(np.pad(grey, ((0, 120), (0, 0))), width=width, flare=flare)
    flip = 1 if laterality == "L" else -1
    outline = find(spoiled[:, ::flip])
    assert outline.box[3] < fold + 12
    assert outline.mask[: fold - 12].sum() > 0.97 * truth(grey)[: fold - 12].sum()


def test_a_breast_below_something_wider_is_no_belly():
    grey = np.pad(drawn("L", "CC", rows=520), ((120, 0), (0, 0)))
    grey[20:140, :500] = 0.5
    assert find(grey).mask[300:500].sum() > 0.95 * truth(grey)[300:500].sum()


def test_padding_is_no_breast_and_does_not_shift_the_threshold():
    grey = drawn("L", "MLO")
    background = ~ndimage.binary_dilation(truth(grey), iterations=2)
    outline = find(np.where(background, 0, grey), padding=background)
    assert overlap(outline.mask, truth(grey)) > 0.95
    assert not (outline.mask & background).any()


def test_a_dark_implant_inside_the_breast_belongs_to_it():
    grey = drawn("L", "CC")
    grey[250:380, 40:150] = 0.02
    assert find(grey).mask[300, 90]


def test_mirroring_mirrors_the_mask():
    grey = drawn("L")
    breast, mirrored = find(grey), find(grey[:, ::-1])
    assert mirrored.chest_wall == "right"
    assert overlap(breast.mask, mirrored.mask[:, ::-1]) > 0.995


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_blank_image_is_told_so(value):
    with pytest.raises(Failed, match="image quality not sufficient: the image is blank"):
        find(np.full((ROWS, COLUMNS), value))


def test_an_image_that_is_all_padding_is_told_so():
    with pytest.raises(Failed, match="padding"):
        find(drawn(), padding=np.ones((ROWS, COLUMNS), bool))


def test_a_saturated_breast_is_told_so():
    with pytest.raises(Failed, match="image quality not sufficient: most of the breast is saturated"):
        find(np.where(truth(drawn()), 1.0, 0.0))


def specks(grey):
    grey = np.zeros_like(grey)
    grey[100:170, 100:160] = 0.7
    return grey


def white_frame_only(grey):
    return framed(np.zeros_like(grey))


@pytest.mark.parametrize("make", [specks, white_frame_only])
def test_an_image_without_a_breast_is_told_so(make):
    with pytest.raises(Failed, match="no breast found"):
        find(make(drawn()))


def test_a_dicom_file_is_found_in_whatever_photometric_interpretation(tmp_path):
    boxes = []
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        ds = mammogram("R", "MLO", photometric=photometric)
        boxes.append(breast.find(pixels.from_dicom(write(ds, tmp_path / "a.dcm"))).box)
    assert boxes[0] == boxes[1]


def test_tiny_images_end_in_words_and_not_in_errors():
    for shape in [(1, 1), (1, 50), (3, 3), (9, 2)]:
        with pytest.raises(Failed):
            find(np.zeros(shape))


def test_a_picture_of_two_ends_is_broken():
    grey = drawn(rows=320, columns=256)
    broken = np.where(grey > 0.1, np.random.default_rng(1).integers(0, 2, grey.shape), 0.0)
    with pytest.raises(Failed, match="plain black or plain white"):
        find(broken)


@pytest.mark.parametrize("times", [4, 16])
def test_values_that_wrap_around_are_no_picture(times):
    """As 12 bits hold no 14: brightness that rises leaves the scale at one end and comes in at the other."""
    texture = np.random.default_rng(1).normal(1, 0.05, (ROWS, COLUMNS))
    grey = np.clip(drawn() * np.linspace(0.4, 1, COLUMNS) * texture, 0, 1)
    with pytest.raises(Failed):
        find(np.mod(grey * times, 1))
    find(grey)


def test_the_frame_of_a_small_picture_is_no_fault():
    """Its edges are one pixel in fifty, which all over a large picture would be a fault."""
    small = drawn(rows=210, columns=160)
    outline = find(np.pad(small, 8, constant_values=1))
    assert overlap(outline.mask[8:-8, 8:-8], find(small).mask) > 0.95
