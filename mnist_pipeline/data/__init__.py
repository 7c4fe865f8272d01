"""The data room: download, decode, split."""
