"""Rendered digits: what the demo's base model and its CLIP are trained on.

Digits of matplotlib's fonts and of pen templates, bent and drawn in many ways, on procedural land and water. It shares
no digit and no background code with waterdigits: the base model is to know the concepts, not the target. Notable:

- The distribution is wide in every direction of style (dull and saturated, smooth and noisy, sharp and blurred, thin
  and thick, faint and bold), so that a target's look lies inside it and fine-tuning has only to narrow it.
- Style is drawn independently of digit and background, so that no style can stand in for a concept.
- Land and water differ in hue and, mostly, in texture.
- Shapes are distance fields, so that one lookup yields any thickness and softness of stroke.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairdream.demo.pens import PENS, rounded

if TYPE_CHECKING:
    import torch

SIZE = 32
FIELD = 48
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LABELS = ("even", "odd")
ATTRIBUTES = ("land", "water")
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"),
)


@dataclass(frozen=True)
class Rendered:
    """
    A batch of rendered digits.

    Attributes
    ----------
    images : torch.Tensor
        uint8 RGB of shape (count, 3, 32, 32).
    digits : torch.Tensor
        0..9, of shape (count,).
    water : torch.Tensor
        True on water and False on land, of shape (count,).
    """

    images: "torch.Tensor"
    digits: "torch.Tensor"
    water: "torch.Tensor"


def distance_field(mask: np.ndarray) -> np.ndarray:
    """
    Turn a filled shape into a field that is positive inside and negative outside, in pixels.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean array; True is ink.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape.
    """
    from scipy.ndimage import distance_transform_edt

    return (distance_transform_edt(mask) - distance_transform_edt(~mask)).astype(np.float32)


def shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Draw every digit of every font and every pen template as a distance field.

    Returns
    -------
    fields : numpy.ndarray
        float32 of shape (shapes, 48, 48), in pixels; digits are about 32 pixels high.
    digits : numpy.ndarray
        0..9, of shape (shapes,).
    pens : numpy.ndarray
        True where the field is that of a pen's hairline, False for a font's filled glyph, of shape (shapes,).
    """
    from pathlib import Path

    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    big = 4 * FIELD
    fields, digits, pens = [], [], []

    def add(canvas: Image.Image, digit: int, pen: bool) -> None:
        field = distance_field(np.asarray(canvas) > 127) / 4
        fields.append(field[2::4, 2::4])
        digits.append(digit)
        pens.append(pen)

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    for name in FONTS:
        font = ImageFont.truetype(str(folder / f"{name}.ttf"), 160)
        for digit in range(10):
            left, top, right, bottom = font.getbbox(str(digit))
            canvas = Image.new("L", (big, big))
            glyph = Image.new("L", (int(right - left), int(bottom - top)))
            ImageDraw.Draw(glyph).text((-left, -top), str(digit), fill=255, font=font)
            # All digits get one height: the size of text in a font is no part of what a digit is.
            glyph = glyph.resize((max(1, glyph.width * 128 // glyph.height), 128))
            canvas.paste(glyph, ((big - glyph.width) // 2, (big - 128) // 2))
            add(canvas, digit, False)
    for digit, drawings in PENS.items():
        for strokes in drawings:
            canvas = Image.new("L", (big, big))
            for stroke in strokes:
                points = rounded(np.array(stroke)) * (88, 128) + ((big - 88) / 2, (big - 128) / 2)
                ImageDraw.Draw(canvas).line([tuple(p) for p in points], fill=255, width=4, joint="curve")
            add(canvas, digit, True)
    return np.stack(fields), np.array(digits), np.array(pens)


class Renderer:
    """
    Draws batches of digits in random styles.

    Parameters
    ----------
    seed : int
        Seeds all that is drawn.
    """

    def __init__(self, seed: int) -> None:
        import torch

        fields, digits, pens = shapes()
        self.generator = torch.Generator().manual_seed(seed)
        self.fields = torch.from_numpy(fields)[:, None]
        self.pens = torch.from_numpy(pens)
        # Half of the drawings come from pens, which are far fewer than the fonts.
        weights = torch.where(self.pens, 1.0 / self.pens.sum(), 1.0 / (~self.pens).sum())
        self.choices = [
            (index, weights[index]) for index in (torch.from_numpy(np.flatnonzero(digits == d)) for d in range(10))
        ]

    def uniform(self, count: int, low: float, high: float) -> "torch.Tensor":
        """Draw ``count`` numbers from low..high, shaped (count, 1, 1, 1)."""
        import torch

        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=self.generator)

    def chance(self, count: int, share: float) -> "torch.Tensor":
        """Draw ``count`` booleans that are True with the given probability, shaped (count, 1, 1, 1)."""
        return self.uniform(count, 0, 1) < share

    def noise(self, count: int, cells: tuple[int, int], channels: int = 1) -> "torch.Tensor":
        """Draw smooth noise of unit standard deviation with that many cells per image, (count, channels, 32, 32)."""
        import torch
        import torch.nn.functional as F

        grid = torch.randn(count, channels, *cells, generator=self.generator)
        field = (
            grid if cells == (SIZE, SIZE) else F.interpolate(grid, (SIZE, SIZE), mode="bicubic", align_corners=False)
        )
        return field / field.flatten(1).std(1).clamp(min=1e-3)[:, None, None, None]

    def mixed_noise(self, count: int) -> "torch.Tensor":
        """Draw noise whose length scale differs from image to image, (count, 1, 32, 32)."""
        fields = [self.noise(count, (cells, cells)) * self.uniform(count, 0, 1) ** 2 for cells in (3, 6, 10, 18)]
        field = sum(fields[1:], fields[0])
        return field / field.flatten(1).std(1).clamp(min=1e-3)[:, None, None, None]

    def waves(self, count: int) -> "torch.Tensor":
        """Draw uneven ripples, more or less horizontal, (count, 1, 32, 32)."""
        import math

        import torch

        rows, columns = torch.meshgrid(torch.arange(SIZE) * 1.0, torch.arange(SIZE) * 1.0, indexing="ij")
        angle = self.uniform(count, -0.35, 0.35)
        phase = rows * angle.cos() + columns * angle.sin() + self.noise(count, (5, 4)) * self.uniform(count, 0, 2.5)
        wave = torch.sin(2 * math.pi * (phase / self.uniform(count, 3.5, 14) + self.uniform(count, 0, 1)))
        # Crests can be sharper than troughs, as in shallow water.
        return torch.where(self.chance(count, 0.3), 1.5 - 3 * wave.abs(), wave * 1.4)

    def strokes(self, digits: "torch.Tensor") -> "torch.Tensor":
        """Draw the digits' ink coverage in 0..1, bent, sized and placed at random, (count, 1, 32, 32)."""
        import torch
        import torch.nn.functional as F

        count = len(digits)
        picks = torch.empty(count, dtype=torch.long)
        for digit, (index, weights) in enumerate(self.choices):
            where = (digits == digit).nonzero()[:, 0]
            if len(where):
                picks[where] = index[torch.multinomial(weights, len(where), replacement=True, generator=self.generator)]
        angle, shear = self.uniform(count, -0.3, 0.3), self.uniform(count, -0.35, 0.35)
        height, width = self.uniform(count, 0.85, 1.25), self.uniform(count, 0.8, 1.35)
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
        bend = self.uniform(count, 0, 0.11) * self.chance(count, 0.75)
        y = rows - self.uniform(count, -0.14, 0.14) + bend * self.noise(count, (4, 4))
        x = columns - self.uniform(count, -0.14, 0.14) + bend * self.noise(count, (4, 4))
        x, y = (x * angle.cos() + y * angle.sin() + shear * y) / width, (y * angle.cos() - x * angle.sin()) / height
        field = F.grid_sample(
            self.fields[picks], torch.cat([x, y], 1).permute(0, 2, 3, 1), align_corners=False, padding_mode="border"
        )
        pen = self.pens[picks][:, None, None, None]
        # Pens are hairlines and need a width; glyphs have one and get a little more or less.
        thickness = torch.where(pen, self.uniform(count, 1.2, 3.8), self.uniform(count, -0.4, 1.6))
        ink = torch.sigmoid((field + thickness) * self.uniform(count, 1.2, 5.0))
        for cells in (8, 10, 13):
            coarse = F.interpolate(F.adaptive_avg_pool2d(ink, cells), (SIZE, SIZE), mode="bicubic", align_corners=False)
            sharpened = torch.sigmoid((coarse - self.uniform(count, 0.3, 0.5)) * self.uniform(count, 6, 14))
            ink = torch.where(self.chance(count, 0.12), sharpened, ink)
        return ink

    def backgrounds(self, water: "torch.Tensor") -> "torch.Tensor":
        """Draw land and water in palettes from dull to saturated, (count, 3, 32, 32) in 0..1."""
        import torch

        count = len(water)
        wet = water[:, None, None, None]
        hue = torch.where(wet, self.uniform(count, 0.48, 0.66), self.uniform(count, 0.03, 0.36))
        hue = hue + torch.where(wet, 0.02, 0.035) * self.uniform(count, 0, 1) * self.noise(count, (5, 5))
        relief = torch.where(wet & self.chance(count, 0.75), self.waves(count), self.mixed_noise(count))
        relief = relief * self.uniform(count, 0.3, 1) + self.mixed_noise(count) * self.uniform(count, 0, 0.7)
        slope = torch.linspace(-1, 1, SIZE)[:, None] * self.uniform(count, -0.12, 0.12)
        value = self.uniform(count, 0.2, 0.85) + slope + self.uniform(count, 0.0, 0.13) * relief
        saturation = self.uniform(count, 0.2, 0.95) + self.uniform(count, 0, 0.06) * self.noise(count, (6, 6))
        # hsv to rgb, as in https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative
        k = (torch.tensor([5.0, 3.0, 1.0])[:, None, None] + hue * 6) % 6
        ramp = torch.minimum(k, 4 - k).clamp(0, 1)
        value, saturation = value.clamp(0.05, 1), saturation.clamp(0, 1)
        return value - value * saturation * ramp

    def draw(self, count: int) -> Rendered:
        """
        Draw a batch.

        Parameters
        ----------
        count : int
            How many images.

        Returns
        -------
        Rendered
            Digits and backgrounds are uniform and independent.
        """
        import torch
        import torchvision.transforms.functional as TF

        digits = torch.randint(10, (count,), generator=self.generator)
        water = torch.rand(count, generator=self.generator) < 0.5
        image = self.backgrounds(water)
        grey = image.mean((1, 2, 3), keepdim=True)
        # Ink is light or dark, whichever leaves room, and by choice a little or very coloured.
        contrast = self.uniform(count, 0.27, 0.75)
        light = torch.where((grey > 0.3) & (grey < 0.62), self.chance(count, 0.6), grey <= 0.3)
        ink = torch.where(light, grey + contrast, grey - contrast).clamp(0, 1)
        tint = torch.randn(count, 3, 1, 1, generator=self.generator) * self.uniform(count, 0, 1) ** 2 * 0.3
        ink = (ink + tint - tint.mean(1, keepdim=True)).clamp(0, 1)
        ink = ink + self.uniform(count, 0, 0.06) * self.mixed_noise(count)
        cover = self.strokes(digits) * self.uniform(count, 0.72, 1.0)
        image = image * (1 - cover) + ink * cover
        for sigma in (0.5, 0.8, 1.1):
            image = torch.where(self.chance(count, 0.2), TF.gaussian_blur(image, 5, sigma), image)
        grain = self.noise(count, (SIZE, SIZE), 3) * self.uniform(count, 0, 0.05) * self.chance(count, 0.6)
        images = ((image + grain).clamp(0, 1) * 255).round().to(torch.uint8)
        return Rendered(images, digits, water)


def draw_many(count: int, seed: int, batch: int = 1000) -> Rendered:
    """
    Draw many images, batch after batch.

    Parameters
    ----------
    count : int
        How many images, a multiple of ``batch`` or rounded up to one.
    seed : int
        Seeds all that is drawn.
    batch : int
        Images drawn at once.

    Returns
    -------
    Rendered
        The images in the order drawn.
    """
    import torch

    renderer = Renderer(seed)
    parts = [renderer.draw(batch) for _ in range(-(-count // batch))]
    return Rendered(*(torch.cat([getattr(part, name) for part in parts]) for name in ("images", "digits", "water")))
