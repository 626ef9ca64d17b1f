"""Whether a page can be served where it is asked for, known before a model is loaded."""

from __future__ import annotations

import errno
import os
import socket

_HERE = "127.0.0.1"


def require_free_port(host: str | None, port: int | None) -> None:
    """Raises ValueError naming the option where another program listens at `port`, or this machine has no address `host`.

    None: what GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say, else this machine alone and the first free port, which needs no look.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or _HERE
    asked = port or os.environ.get("GRADIO_SERVER_PORT")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(asked or 0), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was left a moment ago is free
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"--port {asked}: another program listens there; name another port with --port, or leave it out for the first free one"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ValueError(f"--port {asked}: this user may not listen there ({error.strerror}); name one from 1024 up") from error
        raise ValueError(
            f"--host {host}: this machine has no such address ({error.strerror}); leave it out for this machine alone"
        ) from error
