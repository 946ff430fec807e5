package fsm

//go:generate go run github.com/tinylib/msgp -io=false -tests=false -file=. -o=command_gen.go

//msgp:ignore FSM Command Kind record snapshot writer Observer reader
