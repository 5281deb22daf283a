# docker build -t staleproof . && docker run --rm -v "$PWD":/work staleproof run scenarios
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
# A real memcached for `--cache memcached`.
RUN apt-get update && apt-get install -y --no-install-recommends memcached \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/staleproof /usr/local/bin/staleproof
WORKDIR /work
ENTRYPOINT ["staleproof"]
CMD ["--help"]
