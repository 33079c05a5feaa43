"""The vendors' own SDKs as clients of the gate: one module a surface, each told what to ask in no vendor's words."""
