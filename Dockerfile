# Build: Rust and a C compiler (SQLite is compiled in), nothing else.
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY migration migration
COPY config config
COPY src src
# the manifest names the tests' and the benches' files; a build does not need what is in them
RUN mkdir -p tests/it benches && touch tests/it/main.rs \
    && sed -n '/^\[\[bench\]\]/{n;s|^name = "\(.*\)"|benches/\1.rs|p}' Cargo.toml | xargs touch
RUN cargo build --release --locked --bin lockstep

# Run: one binary, one data folder, no root.
FROM debian:bookworm-slim
# whom to trust: sources and sinks over https ask the system
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin lockstep
COPY --from=build /build/target/release/lockstep /usr/local/bin/lockstep
# large reports go back to the system once they are read, instead of staying with the process
ENV MALLOC_MMAP_THRESHOLD_=1048576
USER lockstep
WORKDIR /data
VOLUME /data
# what holds in an image; the operator's own file is mounted at /etc/lockstep/lockstep.toml, and wins
COPY config/image.toml /etc/lockstep/image.toml
COPY config/own.toml /etc/lockstep/lockstep.toml
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["lockstep", "healthcheck", "--config", "/etc/lockstep/image.toml", "--config", "/etc/lockstep/lockstep.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["lockstep"]
CMD ["serve", "--config", "/etc/lockstep/image.toml", "--config", "/etc/lockstep/lockstep.toml"]
