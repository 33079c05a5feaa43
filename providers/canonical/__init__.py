"""The one form between any two dialects: what a request asks and what an answer says, without a vendor's spelling.

``parts`` is what stands in a conversation, ``request`` the whole of what is asked, ``answer`` what comes back, at once
or as events. ``losses`` is how a writer says what its dialect cannot express, ``names`` and ``seals`` how what one
vendor forbids or signs comes through another's wire unharmed. Reading and writing a dialect is
``providers.translation``.
"""
