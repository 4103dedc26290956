"""What the local model server says to the programs of examples/ and docs/: a willing model, with tokens that add up."""

from __future__ import annotations

import re

from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError, ReplyUsage

KNOWN = {
    "child understand": "Yes, the words are short.",
    "sky": "Air scatters blue light more than red.",
    "salt": "Rivers carry salt into the sea, and only water leaves it.",
    "grass": "Leaves take in red and blue light and leave the green.",
    "the sea": "Once a wave set out for the shore. It arrived.",
}
UNKNOWN_MODEL = "no-such-model"
OTHERWISE = "That is a good question."

_FIELDS = re.compile(r"^Outputs: (.+)$", re.MULTILINE)


def answer(request: ModelRequest) -> Reply:
    """Answer a question; as JSON with the fields of the signature, when there is one."""
    if request.model == UNKNOWN_MODEL:
        error = ReplyError(f"The model `{UNKNOWN_MODEL}` does not exist", "invalid_request_error", "model_not_found")
        return Reply(status=404, error=error)
    text = next((known for word, known in KNOWN.items() if word in request.user), OTHERWISE)
    usage = ReplyUsage(input_tokens=40, output_tokens=10)
    fields = _FIELDS.search(request.system)
    if fields is None:
        return Reply(text=text, usage=usage)
    names = fields[1].split(", ")
    return Reply.json({name: 0.9 if name == "confidence" else text for name in names}, usage=usage)
