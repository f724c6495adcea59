"""Client protocols on gevent, without Locust: HTTP, WebSocket, Socket.IO."""
