"""HTTP/2 by hand: frames as bytes, for saying what no library would say."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def hpack_int(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = bytearray([first | limit])
    value -= limit
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def hpack(*headers):
    """Literal, never indexed, not Huffman-coded."""
    out = b""
    for name, value in headers:
        name = name.encode() if isinstance(name, str) else name
        value = value.encode() if isinstance(value, str) else value
        out += b"\x10" + hpack_int(len(name), 7) + name + hpack_int(len(value), 7) + value
    return out


def request_headers(path, *more, scheme="http", te="trailers"):
    return hpack((":method", "POST"), (":scheme", scheme), (":path", path),
                 (":authority", "localhost"), ("te", te), ("content-type", "application/grpc"),
                 *more)


def grpc_message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


class Connection:
    def __init__(self, port, hello=True, timeout=10, initial=()):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if hello:
            self.send(PREFACE + settings(*initial))

    def send(self, data):
        """False: the server has closed."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            return False

    def frames(self):
        """What arrives, until the connection ends or times out."""
        while True:
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
                payload = self.buffer[9:9 + size]
                self.buffer = self.buffer[9 + size:]
                yield kind, flags, stream, payload
            try:
                more = self.sock.recv(65536)
            except (ConnectionResetError, socket.timeout):
                return
            if not more:
                return
            self.buffer += more

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def call(port, path, message=b"", timeout=1.0):
    """A polite unary call on a connection of its own; the answer's bytes, or None."""
    with Connection(port, timeout=timeout) as c:
        c.send(frame(HEADERS, END_HEADERS, 1, request_headers(path)) +
               frame(DATA, END_STREAM, 1, grpc_message(message)))
        data = b""
        for kind, flags, stream, payload in c.frames():
            if kind == SETTINGS and not flags & ACK:
                c.send(frame(SETTINGS, ACK))
            if stream != 1:
                continue
            if kind == DATA:
                data += payload
            if flags & END_STREAM and kind in (DATA, HEADERS):
                return data[5:]
            if kind == RST_STREAM:
                return None
    return None
