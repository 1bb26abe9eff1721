"""The WebSocket: socket.io at ``/web/socket.io``, with every action, every message and subscriptions that resume.

``server`` has the connections and their limits, ``calls`` what a client emits, ``feed`` the way of messages from the event
log to the clients, ``transport`` the frames. Only the WebSocket transport is spoken: long polling would bind a client to
one of several gateways.
"""
from shared.kernel.importing import without

# Its clients for asyncio and its server for Tornado are a fifth of what the start of a server loads.
with without("aiohttp", "tornado"):
    import socketio  # noqa: F401
