"""Speed and memory, measured against the bare libraries on the same work in the same run."""
