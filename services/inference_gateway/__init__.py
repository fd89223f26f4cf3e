"""inference-gateway: serves bundles, routes users to them by digest, answers over HTTP.

Reads `release-changed` (the routing table) and tells `bundle-loaded`. It holds no state that it could lose: after a restart it
reads the table again and loads what it names. Without torch.
"""
