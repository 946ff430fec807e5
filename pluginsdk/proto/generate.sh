#!/bin/sh
# Regenerates the Go code of the plugin protocol. Needs protoc (Debian: protobuf-compiler);
# the two Go generators are built here at the versions below.
set -eu
cd "$(dirname "$0")"

GEN_GO=v1.36.12
GEN_GO_GRPC=v1.6.0

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install "google.golang.org/protobuf/cmd/protoc-gen-go@$GEN_GO"
GOBIN=$bin go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$GEN_GO_GRPC"

PATH=$bin:$PATH protoc -I . \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	basepb/base.proto driverpb/driver.proto devicepb/device.proto hclspecpb/hclspec.proto structspb/structs.proto
