"""Ghost Greeter: visitors of websites, and the agents who greet and call them, on a Socket.IO signalling server."""
