from __future__ import annotations

import json
import shutil
import string
from dataclasses import replace
from pathlib import Path

from lpv_mmocr.rendering import FontLibrary, font_pack, font_screening
from lpv_mmocr.rendering.font_discovery import find_font_files, matplotlib_font_folder
from lpv_mmocr.rendering.font_pack import write_font_pack
from lpv_mmocr.rendering.font_screening import (
    SCREENING_VERSION,
    glyph_coverage,
    screen_font,
    screen_fonts,
)
from lpv_mmocr.rendering.font_subset import write_latin_subset

import numpy as np
import pytest
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

SANS = matplotlib_font_folder() / "DejaVuSans.ttf"
ALNUM = string.ascii_letters + string.digits


def remap(target, change, source=SANS):
    """Write DejaVu Sans, or another font, with a changed character map; return its path."""
    font = TTFont(source)
    glyphs = {code: name for code, name in font.getBestCmap().items() if code < 0x250}
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap = {code: change(code, glyphs) for code in glyphs}
    font.save(target)
    return target


def test_font_without_a_glyph_does_not_cover_it(tmp_path):
    font = TTFont(SANS)
    cutter = subset.Subsetter()
    cutter.populate(text=ALNUM.replace("Q", ""))
    cutter.subset(font)
    file = tmp_path / "no-q.ttf"
    font.save(file)
    assert glyph_coverage(str(file), 0, "AQz") == {"A", "z"}
    library = FontLibrary(screen_font(file))
    assert library.faces[0].shows("PAZ")
    assert not library.faces[0].shows("QUAY")
    assert library.uncovered("AQ€") == ["Q", "€"]
    rng = np.random.default_rng(0)
    assert library.pick(rng, "QUAY") is None and not library.shows("QUAY")
    assert library.pick(rng, "PAZ") is library.faces[0]


def test_missing_and_empty_glyphs_are_not_covered(tmp_path):
    def change(code, glyphs):
        return {ord("B"): ".notdef", ord("C"): "space"}.get(code, glyphs[code])

    file = remap(tmp_path / "gaps.ttf", change)
    assert glyph_coverage(str(file), 0, "ABCD") == {"A", "D"}


def test_glyph_shared_by_many_characters_is_not_covered(tmp_path):
    def change(code, glyphs):
        return glyphs[ord("#")] if chr(code) in "bcd" else glyphs[code]

    file = remap(tmp_path / "boxes.ttf", change)
    assert glyph_coverage(str(file), 0, "abcde") == {"a", "e"}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("cmr10.ttf", '<>\\{|}"_'),  # drawn as ¡ ¿ “ – — ˝ ” and a dot
        ("cmti10.ttf", "$<>\\{|}"),  # the first is drawn as a pound sign
        ("cmmi10.ttf", string.punctuation),  # drawn as Greek letters and arrows
    ],
)
def test_symbols_replaced_in_tex_fonts_are_not_covered(name, others):
    if not (matplotlib_font_folder() / name).is_file():
        pytest.skip("matplotlib before 3.11 has no cmti10.ttf")
    (verdict,) = screen_font(matplotlib_font_folder() / name)
    assert verdict.usable and {*string.ascii_letters} <= {*verdict.characters}
    assert not {*others} & {*verdict.characters}


def test_ciphers_and_symbol_fonts_are_dropped(tmp_path):
    def shifted(code, glyphs):
        letters = string.ascii_lowercase
        char = chr(code).lower()
        if char not in letters:
            return glyphs[code]
        moved = letters[(letters.index(char) + 7) % 26]
        return glyphs[ord(moved.upper() if chr(code).isupper() else moved)]

    (cipher,) = screen_font(remap(tmp_path / "cipher.ttf", shifted))
    assert not cipher.usable
    assert "legibility" in cipher.reason
    (symbols,) = screen_font(matplotlib_font_folder() / "cmsy10.ttf")
    assert not symbols.usable


def test_characters_sharing_one_glyph_are_recorded_as_twins(tmp_path):
    def change(code, glyphs):
        return glyphs[{ord("0"): ord("O"), ord("1"): ord("l"), ord("s"): ord("S")}.get(code, code)]

    (verdict,) = screen_font(remap(tmp_path / "twins.ttf", change))
    assert sorted(verdict.twins) == sorted("0O1l")  # s and S differ only in case and are not twins
    assert screen_font(SANS)[0].twins == ""


def test_fonts_with_overlapping_letters_are_dropped(tmp_path):
    font = TTFont(SANS)
    for name, (_, bearing) in font["hmtx"].metrics.items():
        font["hmtx"].metrics[name] = (0, bearing)
    font.save(tmp_path / "heap.ttf")
    (verdict,) = screen_font(tmp_path / "heap.ttf")
    assert not verdict.usable
    assert verdict.reason == "letters overlap (step 0.00)"


def test_wrong_symbols_are_removed_from_a_usable_font(tmp_path):
    def change(code, glyphs):
        return glyphs[ord("M")] if code == ord("(") else glyphs[code]

    (verdict,) = screen_font(remap(tmp_path / "odd.ttf", change))
    assert verdict.usable
    assert "(" not in verdict.characters
    assert set(ALNUM) <= set(verdict.characters)


@pytest.mark.parametrize("case", ["upper", "lower"])
def test_font_with_a_single_case_is_detected(tmp_path, case):
    def change(code, glyphs):
        return glyphs[ord(getattr(chr(code), case)()) if chr(code).isascii() else code]

    for name in ("DejaVuSans", "DejaVuSerif-BoldItalic"):
        source = matplotlib_font_folder() / f"{name}.ttf"
        (verdict,) = screen_font(remap(tmp_path / f"{name}.ttf", change, source))
        assert verdict.only_case == case
        assert screen_font(source)[0].only_case == ""


def test_files_that_are_not_fonts_are_rejected_with_a_reason(tmp_path, monkeypatch):
    for name in ("broken.ttf", "broken.ttc"):
        file = tmp_path / name
        file.write_bytes(b"no font at all")
        (verdict,) = screen_font(file)
        assert not verdict.usable
        assert "not readable" in verdict.reason
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="no usable font among 2 files"):
        FontLibrary.from_folders([tmp_path], system=False)


def test_verdicts_are_cached_and_renewed_when_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "font.ttf"
    shutil.copy(SANS, file)
    first = screen_fonts([file])
    (store,) = (tmp_path / "cache").iterdir()
    known = json.loads(store.read_text())
    (key,) = known
    known[key][0]["family"] = "From the cache"
    store.write_text(json.dumps(known))
    assert screen_fonts([file])[0].family == "From the cache"
    shutil.copy(matplotlib_font_folder() / "DejaVuSerif.ttf", file)
    assert screen_fonts([file])[0].family == "DejaVu Serif" != first[0].family
    for damaged in ("{ damaged", "null", "[]", '{"a": [{}]}'):
        store.write_text(damaged)
        assert screen_fonts([file])[0].family == "DejaVu Serif"


def test_full_disk_leaves_no_incomplete_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))

    def full(path, target):
        assert path.stat().st_size > 100
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert screen_fonts([Path(SANS)])[0].usable
    assert not [*(tmp_path / "cache").iterdir()]


def test_equal_fonts_count_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    for name in ("a.ttf", "b.ttf"):
        shutil.copy(SANS, tmp_path / name)
    library = FontLibrary.from_folders([tmp_path], system=False)
    assert len(library) == 1
    assert "same glyphs as" in library.rejected[0].reason


def test_fonts_of_other_scripts_are_compared_by_content(tmp_path, monkeypatch):
    """Files of different fonts often have the same name."""
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    cyrillic = "".join(map(chr, range(0x400, 0x500)))
    for folder, source in (("a", SANS), ("b", SANS.with_name("DejaVuSerif.ttf")), ("c", SANS)):
        font = TTFont(source)
        cutter = subset.Subsetter()
        cutter.populate(text=cyrillic)
        cutter.subset(font)
        font["head"].modified = 0  # makes equal fonts equal byte for byte
        font.recalcTimestamp = False
        (tmp_path / folder).mkdir()
        font.save(tmp_path / folder / "Regular.ttf")
    library = FontLibrary.from_folders([tmp_path], system=False)
    assert sorted(face.verdict.family for face in library.faces) == ["DejaVu Sans", "DejaVu Serif"]
    assert "same glyphs as" in library.rejected[0].reason
    both = FontLibrary.from_folders([tmp_path / "a"], system=False).digest()
    assert both != FontLibrary.from_folders([tmp_path / "b"], system=False).digest()
    assert both == FontLibrary.from_folders([tmp_path / "c"], system=False).digest()


def test_families_are_drawn_evenly(fonts):
    rng = np.random.default_rng(0)
    names = [fonts.pick(rng, "Word").verdict.family for _ in range(2000)]
    shares = {name: names.count(name) / 2000 for name in set(names)}
    files = {faces[0].verdict.family: len(faces) / len(fonts) for faces in fonts.families}
    biggest = max(files, key=files.get)
    assert shares[biggest] < files[biggest]
    assert len(shares) == len(fonts.families)


def test_font_files_are_found_and_bad_paths_refused(tmp_path):
    assert SANS.resolve() in find_font_files()
    assert find_font_files([SANS], system=False) == [SANS.resolve()]
    with pytest.raises(FileNotFoundError, match=r"font file or folder .*nowhere does not exist"):
        find_font_files([tmp_path / "nowhere"], system=False)
    with pytest.raises(ValueError, match=r"holds no .ttf"):
        find_font_files([tmp_path], system=False)
    (tmp_path / "gone.ttf").symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no .ttf"):
        find_font_files([tmp_path], system=False)
    text = tmp_path / "readme.txt"
    text.touch()
    with pytest.raises(ValueError, match="is not a font file"):
        find_font_files([text], system=False)


def test_web_fonts_are_supported(tmp_path):
    web = tmp_path / "sans.woff"
    font = TTFont(SANS)
    font.flavor = "woff"
    font.save(web)
    assert find_font_files([tmp_path], system=False) == [web.resolve()]
    (verdict,) = screen_font(str(web))
    (original,) = screen_font(str(SANS))
    assert verdict == replace(original, path=verdict.path)


def test_font_pack_contains_its_verdicts(tmp_path, fonts, monkeypatch):
    files = write_font_pack(fonts, tmp_path / "pack", max_megabytes=2.0)
    assert 0 < sum(file.stat().st_size for file in files) <= 2e6
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    packed = FontLibrary.from_folders([tmp_path / "pack"], system=False)
    assert not (tmp_path / "cache").exists()  # Nothing had to be screened again.
    assert len(packed) == len(files)
    prints = {face.verdict.fingerprint for face in fonts.faces}
    assert {face.verdict.fingerprint for face in packed.faces} <= prints
    with pytest.raises(FileExistsError, match="is not empty"):
        write_font_pack(fonts, tmp_path / "pack")
    with pytest.raises(ValueError, match="no font fits into"):
        write_font_pack(fonts, tmp_path / "tiny", max_megabytes=1e-6)


def test_names_in_a_font_pack_differ_in_more_than_case(tmp_path, fonts):
    """On case-insensitive file systems one of them would overwrite the other."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shutil.copy(SANS, tmp_path / "a" / "Font.ttf")
    shutil.copy(SANS.with_name("DejaVuSerif.ttf"), tmp_path / "b" / "font.ttf")
    library = FontLibrary.from_folders([tmp_path / "a", tmp_path / "b"], system=False)
    files = write_font_pack(library, tmp_path / "pack")
    assert len({file.name.casefold() for file in files}) == len(files) == 2


def test_numbered_names_in_a_font_pack_are_unique(tmp_path):
    fonts = {"a/F": "SansMono", "a/1-F": "Serif", "a/2-F": "Serif-Bold", "b/F": "Sans"}
    for name, font in fonts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(SANS.with_name(f"DejaVu{font}.ttf"), tmp_path / f"{name}.ttf")
    library = FontLibrary.from_folders([tmp_path / "a", tmp_path / "b"], system=False)
    files = write_font_pack(library, tmp_path / "pack")
    assert len({file.read_bytes() for file in files}) == len(set(files)) == 4


@pytest.mark.parametrize(
    "content",
    ["{ cut", "[]", "{}", '{"version": VERSION}', '{"version": VERSION, "files": {"a": [{}]}}'],
)
def test_damaged_font_pack_is_named(tmp_path, content):
    shutil.copy(SANS, tmp_path / "a.ttf")
    file = tmp_path / "screened.json"
    file.write_text(content.replace("VERSION", str(SCREENING_VERSION)))
    with pytest.raises(ValueError, match=r"screened\.json is damaged .*copy the font pack again"):
        FontLibrary.from_folders([tmp_path], system=False)


def test_font_pack_of_another_version_is_screened_again(tmp_path, monkeypatch):
    monkeypatch.setattr(font_screening, "MANY_FILES", 1)
    said = []
    monkeypatch.setattr(font_screening, "print_log", lambda text, **_: said.append(text))
    shutil.copy(SANS, tmp_path / "a.ttf")
    (tmp_path / "screened.json").write_text('{"version": 1, "files": {"a.ttf": []}}')
    assert len(FontLibrary.from_folders([tmp_path], system=False)) == 1
    outdated, screening = said
    assert outdated.startswith(f"The fonts of {tmp_path} were screened by another version")
    assert screening == "Screening 1 font files, some 20 ms each"


def test_font_pack_is_written_through_a_symlink(tmp_path, fonts):
    (tmp_path / "disk").mkdir()
    (tmp_path / "pack").symlink_to(tmp_path / "disk")
    files = write_font_pack(fonts, tmp_path / "pack", max_megabytes=1.0)
    assert files and all(file.is_file() for file in files)
    assert (tmp_path / "pack").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "pack"}


def test_latin_pack_is_smaller_and_looks_the_same(tmp_path, fonts):
    whole = write_font_pack(fonts, tmp_path / "whole", max_megabytes=100.0)
    latin = write_font_pack(fonts, tmp_path / "latin", max_megabytes=100.0, latin_only=True)
    assert [file.name for file in latin] == [file.name for file in whole]
    sizes = [sum(file.stat().st_size for file in files) for files in (whole, latin)]
    assert sizes[1] < sizes[0] / 3
    for file, source in zip(latin, whole, strict=True):
        # Hinting is gone, which moves edges by a fraction of a pixel.
        images = [letters_apart(path) for path in (file, source)]
        assert np.abs(images[0] - images[1]).mean() < 5, file.name
        lengths = [length(path, "AVATAR") for path in (file, source)]
        assert lengths[0] == pytest.approx(lengths[1], rel=0.01), file.name
    # So images differ slightly, and a pool of one pack does not serve for the other.
    packs = [
        FontLibrary.from_folders([tmp_path / name], system=False) for name in ("whole", "latin")
    ]
    assert packs[0].digest() != packs[1].digest()
    smaller = write_font_pack(fonts, tmp_path / "small", max_megabytes=0.2, latin_only=True)
    assert 0 < sum(file.stat().st_size for file in smaller) <= 0.2e6
    packed = FontLibrary.from_folders([tmp_path / "small"], system=False)
    assert len(packed) == len(smaller)


def test_latin_pack_leaves_out_fonts_of_other_scripts(tmp_path, fonts):
    greek = replace(fonts.faces[0].verdict, characters="", family="Greek")
    library = FontLibrary([greek, *(face.verdict for face in fonts.faces[1:])])
    left = Path(greek.path).name
    latin = write_font_pack(library, tmp_path / "latin", max_megabytes=100.0, latin_only=True)
    whole = write_font_pack(library, tmp_path / "whole", max_megabytes=100.0)
    assert left in {file.name for file in whole}
    assert left not in {file.name for file in latin}


def test_interrupted_font_pack_leaves_nothing(tmp_path, fonts, monkeypatch):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(font_pack.shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_font_pack(fonts, tmp_path / "pack")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["cut off", "of other characters"])
def test_font_that_cannot_be_reduced_is_copied(tmp_path, content):
    source, target = tmp_path / "font.ttf", tmp_path / "copy.ttf"
    source.write_bytes(SANS.read_bytes()[: 5000 if content == "cut off" else None])
    # Cyrillic letters would be lost.
    assert not write_latin_subset(source, target, ALNUM + "Я" * (content != "cut off"))
    assert target.read_bytes() == source.read_bytes()
    assert write_latin_subset(SANS, target, ALNUM)
    assert target.stat().st_size < SANS.stat().st_size / 3


def length(font: Path, text: str) -> float:
    """Return the length of a text in pixels, laid out as words are."""
    basic = ImageFont.Layout.BASIC
    return ImageFont.truetype(str(font), 96, layout_engine=basic).getlength(text)


def letters_apart(font: Path) -> np.ndarray:
    """Return the grey levels of letters, each drawn in its own field."""
    image = Image.new("L", (1100, 140))
    letters = ImageFont.truetype(str(font), 96)
    for column, letter in enumerate("ABgky0189é&"):
        ImageDraw.Draw(image).text((100 * column, 10), letter, fill=255, font=letters)
    return np.asarray(image, dtype=np.float32)


def test_charset_of_another_renderer_does_not_change_what_is_picked():
    """Renderers share a library, and the images of each depend on its own settings alone."""
    files = sorted(matplotlib_font_folder().glob("DejaVuS*.ttf"))
    library = FontLibrary([verdict for file in files for verdict in screen_font(file)])

    def picked(fonts: FontLibrary) -> list:
        rng = np.random.default_rng(0)
        return [fonts.pick(rng, "é") for _ in range(40)]

    latin = library.for_charset("aé")
    before = picked(latin)
    hebrew = library.for_charset("aא")
    assert hebrew.uncovered("aא") == [] and picked(latin) == before
    assert len(set(picked(hebrew))) < len(set(before))
