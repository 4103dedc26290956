"""The life of one operation: model call, agent run, workflow, node, tool."""
