"""A made-up dataset in the sprite's form."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class SmallSprite:
    """A made-up sprite of 24 train and 8 test images: a folder as a server or a mirror has it, and its description."""

    folder: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def png(self) -> Path:
        return self.folder / "images.png"

    @property
    def one_hot(self) -> Path:
        return self.folder / "labels.bin"

    def describe(self, *, pinned: bool = True, source: str = ".", name: str = "small") -> str:
        """Write a description whose source is this folder, and return its path for `FetchConfig.dataset`."""
        digests = (
            f'[digests]\npixels = "{hashlib.sha256(self.images.tobytes()).hexdigest()}"\n'
            f'labels = "{hashlib.sha256(self.one_hot.read_bytes()).hexdigest()}"\n'
        )
        path = self.folder / f"{name}-{'pinned' if pinned else 'open'}.toml"
        path.write_text(
            f'name = "{name}"\ntitle = "Made up"\nsource = "{source}"\n'
            'class_names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]\n'
            "[rows]\ntrain = 24\ntest = 8\n"
            '[files]\nimages = "images.png"\nlabels = "labels.bin"\n' + (digests if pinned else "")
        )
        return str(path)


def write(folder: Path) -> SmallSprite:
    folder.mkdir()
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (32, 28, 28), dtype=np.uint8)
    labels = (np.arange(32) % 10).astype(np.uint8)
    sprite = SmallSprite(folder, images, labels)
    Image.fromarray(images.reshape(32, 784)).save(sprite.png)
    sprite.one_hot.write_bytes(np.eye(10, dtype=np.uint8)[labels].tobytes())
    return sprite
