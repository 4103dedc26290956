"""Where alerts go. One file a channel, and a line in `CHANNELS`."""

from __future__ import annotations
