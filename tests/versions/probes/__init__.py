"""One probe for each capability: it does the thing with the real library, and asserts what is seen of it.

Each must hold where the table gives the capability, and must fail where the table denies it.
"""

from tests.versions.probes import agents, calls, tools, workflows
from tests.versions.probes.probing import PROBES

__all__ = ["PROBES", "agents", "calls", "tools", "workflows"]
