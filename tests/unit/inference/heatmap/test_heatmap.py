from dataclasses import replace

import numpy as np
import pytest

from inference import decision, wording
from inference.analysis import region
from inference.findings import Region
from inference.heatmap import colormap, heatmap, legend
from inference.heatmap.layers import Frame, read
from inference.heatmap.text import Box, Fonts, Words, line_step
from inference.reading.pixels import Picture
from tests.support import results

SIGNATURE = wording.signature(results.MODEL)


def flat(rows=400, columns=300, grey=0.5):
    return Picture(grey=np.full((rows, columns), grey, np.float32), padding=None)


def stored_layers(picture, warm, longest=2048):
    rows, columns = picture.grey.shape
    frame = Frame.around((0, 0, columns, rows), "right", (rows, columns), longest)
    return frame.layers(picture, [frame.level(warm)] * 3)


def render(picture=None, finding=None, *, caption="R CC", warm=None, longest=2048):
    picture = picture or flat()
    finding = finding or results.analysed(at=results.region(150, 150))
    if warm is None:
        at = finding.region or results.region(150, 150)
        warm = results.warm_map(picture.grey.shape, at)
    layers = stored_layers(picture, warm, longest)
    return heatmap.render(layers, finding, caption=caption, signature=SIGNATURE, longest=longest)


def with_map(rendered, rows=400, columns=300):
    """The copy with the map: at the chest wall's side, which is right."""
    return rendered[:rows, -columns:]


def plain(rendered, rows=400, columns=300):
    """The copy beside it."""
    gap = round(16 * legend.LEAST_UNIT)
    return rendered[:rows, -2 * columns - gap : -columns - gap]


def lightness(colours):
    """CIE L* of sRGB colours."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126729, 0.7151522, 0.0721750]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


# Machado, Oliveira, Fernandes 2009, severity 1
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def test_colours_grow_lighter_evenly():
    steps = np.diff(lightness(colormap.table()))
    assert colormap.table().shape == (256, 3)
    assert steps.min() > -0.2  # whole sRGB steps make single entries waver
    assert np.all(np.diff(lightness(colormap.table())[::8]) > 0)


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_keep_their_order_for_colour_blind_people(kind):
    share = colormap.table() / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    simulated = np.clip(linear @ np.array(BLINDNESS[kind]).T, 0, 1)
    encoded = np.where(simulated <= 0.0031308, 12.92 * simulated, 1.055 * simulated ** (1 / 2.4) - 0.055)
    assert np.all(np.diff(lightness(255 * encoded)[::16]) > 0)


def test_the_tissue_stands_beside_the_map_without_a_mark():
    rendered = render(flat(grey=0.25))
    assert rendered.dtype == np.uint8
    assert np.all(plain(rendered) == 64)
    assert not np.all(with_map(rendered) == 64)
    assert np.all(rendered[:400, -306:-300] == 0)
    assert (rendered[400:] > 200).any()


@pytest.mark.parametrize("wall", ["left", "right"])
def test_the_map_lies_on_the_side_of_the_chest_wall(wall):
    finding = results.analysed(at=results.region(150, 150))
    finding = replace(finding, landmarks=replace(results.LANDMARKS, chest_wall=wall))
    rendered = render(finding=finding)[:400].astype(int)
    coloured = np.flatnonzero((rendered[..., 0] != rendered[..., 2]).any(axis=0))
    at_right = coloured.min() > rendered.shape[1] / 2
    assert at_right == (wall == "right")


def test_an_image_without_a_region_is_named_so_and_stands_alone():
    rendered = render(finding=results.analysed(results.NORMAL))
    assert np.all(rendered[:, -300:] == 128)
    assert rendered.shape[0] == 400
    beside = rendered[:, :-300]
    assert np.all(beside[:100] == 0)
    assert (beside[-150:] > 200).any()
    assert "AI result, no region  R CC" in legend_text(results.analysed(results.NORMAL))


def test_map_of_an_image_without_a_region_is_not_shown():
    finding = results.analysed(results.NORMAL)
    mapped = render(finding=finding, warm=results.warm_map((400, 300), results.region(150, 150)))
    assert np.array_equal(mapped, render(finding=finding))


def test_cool_tissue_is_left_alone_and_hot_tissue_is_never_hidden():
    warm = results.warm_map((400, 300), results.region(150, 150))
    coloured = with_map(render(warm=warm)).astype(int)
    assert np.all(coloured[warm < 0.14] == 128)
    off_the_line = (warm > 0.7) | ((warm < 0.48) & (warm > 0.2))
    assert (coloured[off_the_line] != 128).any()
    white = with_map(render(flat(grey=1.0), warm=warm))[off_the_line].astype(int)
    black = with_map(render(flat(grey=0.0), warm=warm))[off_the_line].astype(int)
    assert (white - black).min() >= round(255 * 0.55) - 1


def test_every_marked_spot_is_outlined_white_and_dark_and_no_other():
    at = [results.region(column, row) for column, row in ((60, 60), (240, 60), (150, 340))]
    warm = np.max([results.warm_map((400, 300), place) ** 4 for place in at], axis=0)
    finding = replace(results.analysed(at=at[0]), spots=(at[0].center, at[1].center))
    rendered = with_map(render(flat(grey=0.5), finding, warm=warm))
    white, dark = (rendered.min(axis=2) > 230), (rendered.max(axis=2) < 25)
    for lines in (white, dark):
        assert lines[:200, :150].any()
        assert lines[:200, 150:].any()
        assert not lines[200:].any()
    assert not white[warm < 0.48].any()  # nothing is drawn outside what is hot: not on air beside a breast


def test_map_without_any_activation_colours_nothing():
    finding = results.analysed(at=results.region(150, 150))
    rendered = render(finding=finding, warm=np.zeros((400, 300), np.float32))[:400]
    assert np.all(rendered[..., 0] == rendered[..., 2])


@pytest.mark.parametrize(("rows", "columns"), [(3000, 1200), (1200, 3000), (2048, 2048), (2047, 7), (5, 900)])
def test_longest_side_is_kept(rows, columns):
    rendered = render(
        flat(rows, columns), results.analysed(results.MALIGNANT, at=results.region(3, 3, along=2, across=1))
    )
    assert max(rendered.shape) <= 2048


@pytest.mark.parametrize("scores", [results.MALIGNANT, results.NORMAL, results.NORMAL_BUT_REACHED])
@pytest.mark.parametrize(("rows", "columns"), [(900, 800), (3000, 400), (400, 3000), (7, 2000), (2000, 7)])
@pytest.mark.parametrize("caption", ["R CC", "unknown side, unknown view"])
def test_the_smallest_limit_that_can_be_configured_is_kept(scores, rows, columns, caption):
    finding = results.analysed(scores)
    assert max(render(flat(rows, columns), finding, caption=caption, longest=512).shape) <= 512


def test_the_lower_left_corner_is_left_to_the_viewer():
    """OHIF writes its window values there."""
    *_, outlined, alone, signature = words_of(results.analysed(), caption="R CC", width=1500)
    assert signature.text == SIGNATURE
    assert all(mark.left > 750 for mark in (outlined, alone, signature))
    assert outlined.top < alone.top < signature.top


@pytest.mark.parametrize("wall", ["left", "right"])
def test_the_legend_of_a_breast_without_a_region_is_not_at_the_chest_wall(wall):
    finding = results.analysed(results.NORMAL)
    finding = replace(finding, landmarks=replace(results.LANDMARKS, chest_wall=wall))
    rendered = render(flat(rows=1638, columns=900), finding)
    assert rendered.shape[0] == 1638  # the breast is as high as the picture
    breast = rendered[:, -900:] if wall == "right" else rendered[:, :900]
    assert np.all(breast == 128)


def test_the_score_has_a_line_of_its_own_where_the_flag_has_no_room_for_it():
    finding = results.analysed(results.NORMAL)
    lines = [mark.text for mark in words_of(finding, caption="unknown side, unknown view", width=1000)]
    assert lines[:2] == ["Not flagged", "malignant score 1 (flag from 31)"]
    assert lines[2:5] == ["AI result, no region", "unknown side, unknown view", "NOT FOR DIAGNOSTIC USE"]


@pytest.mark.parametrize(("wall", "left", "right"), [("left", 1000, 2040), ("right", 960, 2000)])
def test_beside_the_chest_wall_nothing_is_kept(wall, left, right):
    frame = Frame.around((1000, 500, 2000, 2500), wall, (3000, 2400), 2048)
    assert frame.place == (left, 460, right, 2540)


def test_air_around_the_breast_is_cut_off_but_for_a_margin():
    frame = Frame.around((1000, 500, 2000, 2500), "right", (3000, 2400), 2048)
    assert frame.place == (960, 460, 2000, 2540)
    layers = frame.layers(flat(3000, 2400), [np.zeros(frame.size[::-1], np.uint8)] * 3)
    assert layers.pixel((960, 460)) == (0, 0)
    assert layers.pixel((1480, 1500)) == (frame.size[0] // 2, frame.size[1] // 2)


@pytest.mark.parametrize("width", [120, 400, 843, 1664, 2048])
@pytest.mark.parametrize("scores", [results.MALIGNANT, results.NORMAL, results.NORMAL_BUT_REACHED])
@pytest.mark.parametrize("caption", ["R CC", "L MLO", "unknown side, CC"])
def test_legend_fits(width, scores, caption):
    fonts = Fonts()
    laid_out = legend.strip(
        results.analysed(scores),
        caption=caption,
        signature=SIGNATURE,
        width=width,
        unit=max(legend.LEAST_UNIT, width / 1500),
        fonts=fonts,
    )
    boxes = [extent(mark, fonts) for mark in laid_out.marks]
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert right <= width
        assert 0 <= top < bottom <= laid_out.height
    words = [extent(mark, fonts) for mark in laid_out.marks if isinstance(mark, Words)]
    for number, word in enumerate(words):
        assert not any(overlap(word, word_after) for word_after in words[number + 1 :])


def extent(mark, fonts):
    if isinstance(mark, Box):
        return mark.left, mark.top, mark.left + mark.width, mark.top + mark.height
    return mark.left, mark.top, mark.left + fonts.width(mark), mark.top + line_step(mark.size)


def overlap(word, word_after):
    return (
        word[0] < word_after[2]
        and word_after[0] < word[2]
        and word[1] < word_after[3] - 1
        and word_after[1] < word[3] - 1
    )


def words_of(finding, *, caption, width, unit=1.0):
    laid_out = legend.strip(
        finding, caption=caption, signature=SIGNATURE, width=width, unit=unit, fonts=Fonts()
    )
    return [mark for mark in laid_out.marks if isinstance(mark, Words)]


def legend_text(finding, caption="R CC", width=800):
    return " ".join(mark.text for mark in words_of(finding, caption=caption, width=width, unit=width / 1500))


def test_legend_says_what_must_be_said():
    text = legend_text(results.analysed(results.MALIGNANT), caption="L MLO")
    for words in (
        "AI  L MLO",
        "NOT FOR DIAGNOSTIC USE",
        "FLAGGED · malignant score 84 (flag from 31)",
        "Outlined: the hottest place",
        "This image alone: malignant score 84.0 %",
        "Benign without callback",
        'Grad-CAM for "Malignant"',
        "low",
        "high",
        "document-cnn 1.0.0",
    ):
        assert words in text


def test_normal_never_stands_alone():
    assert "no region marked: this does not exclude cancer" in legend_text(results.analysed(results.NORMAL))
    reached = legend_text(results.analysed(results.NORMAL_BUT_REACHED))
    assert "FLAGGED · malignant score 32 (flag from 31)" in reached
    assert "no region" not in reached
    assert "Malignant 32.0 %" in reached
    assert 'Grad-CAM for "Malignant"' in reached


def test_legend_can_be_read_where_2048_rows_are_fitted_to_a_window():
    words = {mark.text: mark for mark in words_of(results.analysed(), caption="R MLO", width=1500)}
    assert min(mark.size for mark in words.values()) >= 32
    flag = words["FLAGGED · malignant score 84 (flag from 31)"]
    assert flag.size >= 48
    assert words["AI  R MLO"].size < 88


@pytest.mark.parametrize(("rows", "columns", "times"), [(320, 256, 2), (96, 64, 6), (1000, 600, 1)])
def test_a_breast_smaller_than_its_legend_is_enlarged_by_a_whole_number(rows, columns, times):
    breast = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) % 251 / 251
    layers = results.layers_of(Picture(grey=breast, padding=None), None)
    finding = results.analysed(results.NORMAL)
    picture = heatmap.render(layers, finding, caption="R CC", signature=SIGNATURE, longest=2048)
    wall = picture[: times * rows, -times * columns :]
    assert np.array_equal(wall[..., 0], np.kron(layers.grey, np.ones((times, times), np.uint8)))
    assert picture.shape[0] < 1.45 * times * rows


def test_an_enlarged_breast_stays_within_the_longest_side():
    layers = results.layers_of(Picture(grey=np.full((96, 64), 0.5, np.float32), padding=None), None)
    finding = results.analysed(results.NORMAL)
    picture = heatmap.render(layers, finding, caption="R CC", signature=SIGNATURE, longest=512)
    assert max(picture.shape) <= 512


def test_the_warning_stands_beside_the_caption_of_a_picture_without_a_region():
    finding = results.analysed(results.NORMAL)
    words = {mark.text: mark for mark in words_of(finding, caption="L MLO", width=1500)}
    caption, warning = words["AI result, no region  L MLO"], words["NOT FOR DIAGNOSTIC USE"]
    assert caption.top < warning.top < caption.top + caption.size
    assert caption.size >= 40


@pytest.mark.parametrize("scores", [results.MALIGNANT, results.NORMAL])
def test_the_flag_is_the_headline_first_and_largest(scores):
    finding = results.analysed(scores)
    first, *rest = words_of(finding, caption="L MLO", width=2048)
    assert first.text == wording.flag(finding.decision)
    assert first.size >= 48
    assert first.size > max(words.size for words in rest)


def test_spots_on_the_outline_are_told():
    finding = replace(results.analysed(), spots=((1.0, 1.0), (9.0, 9.0)), at_the_border=1)
    assert wording.outlined(finding) == "Outlined: the 2 hottest places; 1 on the breast's outline not marked"


def test_below_the_threshold_score_and_threshold_never_look_alike():
    close = decision.decide((0.6, 0.05, 0.04, 0.3096), results.RULE.threshold)
    assert wording.flag(close) == "Not flagged · malignant score 30.96 (flag from 31.00)"


def test_layers_are_read_back_as_they_were_kept(tmp_path):
    frame = Frame.around((10, 20, 60, 80), "left", (90, 70), 2048)
    maps = [frame.level(results.warm_map((90, 70), results.region(n, n))) for n in (10, 30, 60)]
    layers = frame.layers(flat(90, 70), maps)
    (tmp_path / "kept.png").write_bytes(layers.encoded())
    again = read(tmp_path / "kept.png")
    assert np.array_equal(again.grey, layers.grey)
    assert np.array_equal(again.levels, layers.levels)
    assert again.place == layers.place == frame.place
    assert layers.encoded() == layers.encoded()


@pytest.mark.parametrize("width", range(60, 400, 20))
def test_a_line_never_begins_with_a_per_cent_sign(width):
    fonts, text = Fonts(), "76 % and 36 % of the way"
    lines = [line.text for line in fonts.wrapped(Words(text=text, size=30, colour=legend.WHITE), width)]
    assert " ".join(lines) == text
    assert not any(line.startswith("%") for line in lines)


def test_rendering_is_repeatable():
    assert np.array_equal(render(), render())


def test_no_line_runs_along_a_spike_of_the_breast():
    """A marker on the nipple is taken for breast: a line around it would lie on air."""
    warm = np.zeros((400, 300), np.float32)
    warm[120:180, 120:180] = 1
    warm[149:152, 180:230] = 1
    finding = replace(results.analysed(at=results.region(150, 150)), spots=((150.5, 150.5),))
    white = with_map(render(finding=finding, warm=warm)).min(axis=2) > 240
    assert white[120:180, 120:180].any()
    assert not white[:, 184:].any()


def test_a_place_that_is_thin_as_a_whole_is_outlined():
    warm = np.zeros((400, 300), np.float32)
    warm[149:153, 100:200] = 1
    finding = replace(results.analysed(at=results.region(150, 150)), spots=((150.5, 150.5),))
    dark = with_map(render(finding=finding, warm=warm)).max(axis=2) < 100
    assert dark[149:153, 110:190].any()


def test_outline_is_closed_and_stays_inside():
    beyond = Region(
        center=(5.0, 5.0),
        ellipse=((0.0, 5.0), (65.0, 5.0), (5.0, 0.0), (5.0, 45.0)),
        mean_activation=0.5,
    )
    line = region.closed_line(beyond, rows=40, columns=60)
    assert line[0] == line[-1]
    assert len(line) <= 64
    assert all(0 <= column <= 60 and 0 <= row <= 40 for column, row in line)
    assert all((2 * value).is_integer() for point in line for value in point)
    assert max(column for column, _ in line) == 60


def test_outline_goes_through_the_ends_of_the_axes():
    at = results.region(200, 240)
    line = region.closed_line(at, rows=640, columns=512)
    for column, row in at.ellipse:
        assert min(abs(column - x) + abs(row - y) for x, y in line) <= 1
