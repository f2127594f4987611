# Made by micro-gw image: the gateway without a project.
FROM scratch
# Tokens of micro-gw token are for development: --dev accepts them.
ENV development_enabled=false
USER 65532:65532
EXPOSE 9090 9095
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/runtime", "health"]
ENTRYPOINT ["/runtime"]
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY runtime /runtime
WORKDIR /home/exec
