# Two stages: a static binary, and an image that holds nothing else. No shell, no package manager, no root.
#
#   docker build -t viaduct .
#   docker run -v viaduct:/data -p 127.0.0.1:5672:5672 -p 127.0.0.1:4566:4566 \
#       -e VIADUCT__AUTH__DEFAULT_USERS=anywhere viaduct
#
# To a container the machine that it runs on is another one, from where guest/guest and the keys test/test are refused
# unless `anywhere` is said. For AMQP alone, a user of your own will do instead:
# -e RABBITMQ_DEFAULT_USER=app -e RABBITMQ_DEFAULT_PASS=secret.
#
# Dockerfile.prebuilt makes the same image from a binary that is there already.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# Static glibc, because the second stage has no libraries. The explicit target keeps the flag away from build scripts
# and proc macros, which cannot be static.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --bin viaduct --target "$target" \
    && mkdir -p /image/data \
    && cp "target/$target/release/viaduct" /image/viaduct

FROM scratch
LABEL org.opencontainers.image.title="Viaduct" \
      org.opencontainers.image.description="A message broker with many doors and one core" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.springframework.boot.service-connection="rabbitmq"
COPY --from=build /image/viaduct /usr/local/bin/viaduct
# An empty directory that the user owns: a named volume takes over its owner, and so can be written.
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
VOLUME /data
# Defaults of this image, so a file, the environment or a flag still says otherwise. Here, unlike on a desk, loopback
# would reach nobody. The default user and keys work from loopback only all the same: name a user
# with RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS, who takes their place, or set
# VIADUCT__AUTH__DEFAULT_USERS=anywhere where the network is yours alone.
ENV VIADUCT_DEFAULT__DATA_DIR=/data \
    VIADUCT_DEFAULT__READY_LINES=true \
    VIADUCT_DEFAULT__LISTENERS__AMQP=*:5672 \
    VIADUCT_DEFAULT__LISTENERS__AWS=*:4566 \
    VIADUCT_DEFAULT__LISTENERS__METRICS=*:15692
EXPOSE 5672 4566 15692
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/viaduct", "health"]
ENTRYPOINT ["/usr/local/bin/viaduct"]
CMD ["serve"]
