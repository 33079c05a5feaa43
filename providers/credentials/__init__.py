"""Credentials that need a vendor's library: signed requests and tokens that expire.

``base`` is the seam and ``renewing`` what all have in common; ``aws``, ``google`` and ``azure`` import their libraries
(the extras ``bedrock``, ``vertex`` and ``azure``), so they are imported only where a provider is configured so. API
keys need none of this.
"""
