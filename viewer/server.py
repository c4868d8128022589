"""Opens the page: one address, the one that was asked for."""

from __future__ import annotations

import contextlib
import io
import socket

import viser


def open_page(host: str, port: int, label: str) -> viser.ViserServer:
    """Return viser's server at an address.

    Raises:
        ValueError: if the port is in use (viser itself would take another one in silence) or may not be used.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as problem:
        raise ValueError(f"cannot serve on {host}:{port} ({problem.strerror}): choose another --port") from None
    with contextlib.redirect_stdout(io.StringIO()):  # its banner
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    if port and server.get_port() != port:  # somebody took it in between
        close(server)
        raise ValueError(f"cannot serve on {host}:{port} (another program took it): choose another --port")
    server.gui.configure_theme(dark_mode=False, show_logo=False, show_share_button=False, brand_color=(0, 90, 140))
    server.gui.main_panel.dock_right()
    server.initial_camera.position, server.initial_camera.look_at = (1.15, -1.15, 0.65), (0.0, 0.0, 0.18)
    return server


def address(server: viser.ViserServer) -> str:
    """Return where to point a browser, and what to do from afar."""
    port = server.get_port()
    return (
        f"open http://localhost:{port} (from another machine: ssh -L {port}:localhost:{port} this-machine); "
        "Ctrl-C ends it"
    )


def close(server: viser.ViserServer) -> None:
    """Stop serving."""
    with contextlib.redirect_stdout(io.StringIO()):  # its farewell
        server.stop()
