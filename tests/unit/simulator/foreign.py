"""Somebody else's web page, under a name that leads to us as soon as the page is loaded: DNS rebinding, without DNS."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.browser import Page

NAME = "evil.example"
_ADDRESS = "127.0.0.2"
FLAG = f"--host-resolver-rules=MAP {NAME} {_ADDRESS}, MAP simulator 127.0.0.1"
_PAGE = b"<!doctype html><title>evil</title><body></body>"


class Foreign:
    """Serves its page at ``/`` to whoever asks first; who comes after that is talking to 127.0.0.1, at the same port.

    The name is the same, so the browser takes both for one origin.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://{NAME}:{port}/"
        self._port = port
        self._socket = socket.create_server((_ADDRESS, port), backlog=100)
        self._served = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._socket.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            first = client.recv(1 << 16)
            if first.startswith(b"GET / ") and not self._served:
                self._served = True
                client.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(_PAGE), _PAGE)
                )
                return
            with socket.create_connection(("127.0.0.1", self._port), timeout=30) as ours:
                ours.sendall(first)
                back = threading.Thread(target=_pass_on, args=(ours, client), daemon=True)
                back.start()
                _pass_on(client, ours)
                back.join()


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            to.sendall(piece)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def asked(page: Page, base: str, requests: list[tuple[str, str, str]]) -> list[str]:
    """What a page's script can read of the answers to these: (method, path, body)."""
    script = """(async () => {
        const read = [];
        for (const [method, path, body] of REQUESTS) {
            for (const mode of ["cors", "no-cors"]) {
                try {
                    const options = {method, mode, credentials: "include"};
                    if (body) options.body = body;
                    if (mode === "no-cors" && !["GET", "POST", "HEAD"].includes(method)) continue;
                    const answer = await fetch(BASE + path, options);
                    read.push(`${method} ${path} ${answer.status} ${await answer.text()}`);
                } catch (error) { read.push(`${method} ${path} kept from it`); }
            }
        }
        return read;
    })()"""
    found: list[str] = page.run(script.replace("REQUESTS", json.dumps(requests)).replace("BASE", json.dumps(base)))
    return found


def submitted(page: Page, base: str, forms: list[tuple[str, dict[str, str]]]) -> None:
    """Post forms into frames, and embed the addresses as pictures, scripts and frames, as any page may."""
    script = """(async () => {
        for (const [path, fields] of FORMS) {
            const frame = document.createElement("iframe");
            frame.name = "f" + Math.random();
            document.body.append(frame);
            const form = document.createElement("form");
            form.method = "POST"; form.action = BASE + path; form.target = frame.name; form.enctype = "text/plain";
            for (const [name, value] of Object.entries(fields)) {
                const input = document.createElement("input");
                input.name = name; input.value = value; form.append(input);
            }
            document.body.append(form);
            const loaded = new Promise((resume) => { frame.onload = resume; setTimeout(resume, 3000); });
            form.submit();
            await loaded;
            for (const kind of ["img", "script", "iframe"]) {
                const made = document.createElement(kind);
                const done = new Promise((resume) => {
                    made.onload = made.onerror = resume; setTimeout(resume, 2000);
                });
                made.src = BASE + path;
                document.body.append(made);
                await done;
            }
        }
    })()"""
    page.run(script.replace("FORMS", json.dumps(forms)).replace("BASE", json.dumps(base)))
