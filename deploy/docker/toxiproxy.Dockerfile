# Of the version that CI runs.
FROM golang:1.26-bookworm AS build
RUN CGO_ENABLED=0 go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0

FROM scratch
COPY --from=build /go/bin/server /toxiproxy-server
USER 65532:65532
EXPOSE 8474
ENTRYPOINT ["/toxiproxy-server"]
