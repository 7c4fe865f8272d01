"""Compare two runs of the same command: both ended well, the second did nothing again."""

import json
import sys
from pathlib import Path

first, second = (json.loads(Path(path).read_text()) for path in sys.argv[1:])
steps = ["fetch", "train", "novelty", "export", "evaluate", "publish"]
problems = [
    f"first run: status {first['status']!r}, not 'promoted'" if first["status"] != "promoted" else "",
    f"first run: accuracy {first['accuracy']}" if not first["accuracy"] > 0.9 else "",
    f"second run reused {second['reused']}" if second["reused"] != steps else "",
    "second run has another version" if first["version"] != second["version"] else "",
    f"{first['onnx']} is missing" if not Path(first["onnx"]).is_file() else "",
    f"{first['report']} is missing" if not Path(first["report"]).is_file() else "",
]
sys.exit("\n".join(filter(None, problems)) or 0)
