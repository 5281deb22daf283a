"""A pipelined multi-get load: keys per second and the 99th percentile of a round trip.

Usage: multiget.py PORT SECONDS CONNECTIONS. Each round trip of a connection carries 8
requests of 24 keys; all connections are served by one thread with select.
"""
import selectors
import socket
import sys
import time

KEYS = 1000
PER_GET = 24
PIPELINED = 8


def main():
    port, seconds, connections = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    value = b"v" * 100
    setup = socket.create_connection(("127.0.0.1", port))
    for key in range(KEYS):
        setup.sendall(b"set key%d 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value))
    setup.sendall(b"mn\r\n")
    while not setup.recv(4096).endswith(b"MN\r\n"):
        pass
    requests, lengths = [], []
    for start in range(0, KEYS, PER_GET * PIPELINED):
        lines, length = [], 0
        for get in range(PIPELINED):
            keys = [(start + get * PER_GET + n) % KEYS for n in range(PER_GET)]
            names = [b"key%d" % key for key in keys]
            lines.append(b"get " + b" ".join(names) + b"\r\n")
            length += 5 + sum(len(b"VALUE %s 0 %d\r\n" % (n, len(value))) for n in names)
            length += PER_GET * (len(value) + 2)
        requests.append(b"".join(lines))
        lengths.append(length)
    selector = selectors.DefaultSelector()
    now = time.perf_counter
    for number in range(connections):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(requests[number % len(requests)])
        state = [number % len(requests), lengths[number % len(requests)], now()]
        selector.register(stream, selectors.EVENT_READ, state)
    trips, latencies, buffer = 0, [], bytearray(1 << 18)
    end = now() + seconds
    while now() < end:
        for key, _ in selector.select(1):
            state = key.data
            state[1] -= key.fileobj.recv_into(buffer)
            if state[1] == 0:
                trips += 1
                latencies.append(now() - state[2])
                state[0] = (state[0] + 1) % len(requests)
                state[1], state[2] = lengths[state[0]], now()
                key.fileobj.sendall(requests[state[0]])
            elif state[1] < 0:
                sys.exit("the reply is longer than it should be")
    latencies.sort()
    p99 = latencies[len(latencies) * 99 // 100] * 1e6
    print(int(trips * PER_GET * PIPELINED / seconds), int(p99))


main()
