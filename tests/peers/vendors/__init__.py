"""Vendors as strict as they document themselves: one module a dialect, all with the same three functions and a
``problems`` that says why a request would be refused."""
