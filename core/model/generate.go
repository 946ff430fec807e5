package model

// Binary encoding of the model. See docs/adr/0002-encoding.md.
//
//go:generate go run github.com/tinylib/msgp -io=false -tests=false -file=. -o=model_gen.go
//go:generate go run ./internal/clonegen
