// Filter is a batch job that runs as a WebAssembly module: build it with GOOS=wasip1 GOARCH=wasm.
//
// It reads text from standard input, or from its arguments when there are any, and writes each line to standard
// output with a line number, in upper case and with the number of words in it. The last line is a summary. An empty
// text is an error: exit code 1.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	var in io.Reader = os.Stdin
	if len(os.Args) > 1 {
		in = strings.NewReader(strings.Join(os.Args[1:], "\n") + "\n")
	}
	lines, err := filter(in, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "filter:", err)
		os.Exit(2)
	}
	if lines == 0 {
		fmt.Fprintln(os.Stderr, "filter: nothing to read: give arguments or a stdin file")
		os.Exit(1)
	}
}

// filter copies in to out line by line and returns the number of lines.
func filter(in io.Reader, out io.Writer) (lines int, err error) {
	words := 0
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		lines++
		n := len(strings.Fields(scanner.Text()))
		words += n
		if _, err := fmt.Fprintf(out, "%3d %2d  %s\n", lines, n, strings.ToUpper(scanner.Text())); err != nil {
			return lines, err
		}
	}
	if err := scanner.Err(); err != nil {
		return lines, err
	}
	if lines > 0 {
		_, err = fmt.Fprintf(out, "%d lines, %d words\n", lines, words)
	}
	return lines, err
}
