package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func allocFS() *leaf {
	return &leaf{
		words: "alloc fs", aliases: []string{"fs"}, synopsis: "List folders and print files of an allocation",
		args: "[options] <allocation> <path>", maxArgs: 2, wants: "one or two arguments: <allocation> [path]",
		prose: `Lists a folder of an allocation, or prints a file. The root holds "alloc", which the tasks share, and a folder per task.

With ACLs, the 'read-fs' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			plain := f.flagBool("H", "Show sizes as plain numbers of bytes.", false)
			stat := f.flagBool("stat", "Describe the file instead of printing it.", false)
			tail := f.tail()
			pick := f.pick()
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				a, rest, err := s.pickAlloc(ctx, pick, *verbose)
				if err != nil {
					return s.code(err)
				}
				path := "/"
				if len(rest) > 0 {
					path = rest[0]
				}
				node, err := s.api.OnNode(ctx, a.NodeID)
				if err != nil {
					return s.fail("Error querying node: %v", err)
				}
				defer node.Close()
				info, err := node.Stat(ctx, a.ID, path)
				if err != nil {
					return s.fail("Error retrieving file information: %v", err)
				}
				switch {
				case *stat:
					s.println(table(
						[]string{"Mode", "Size", "Modified Time", "Content Type", "Name"},
						append(s.fileRow(info, *plain)[:3], info.ContentType, info.Name)))
					return exitOK
				case info.IsDir:
					files, err := node.List(ctx, a.ID, path)
					if err != nil {
						return s.fail("Error listing alloc dir: %v", err)
					}
					rows := [][]string{{"Mode", "Size", "Modified Time", "Name"}}
					for _, f := range files {
						rows = append(rows, s.fileRow(f, *plain))
					}
					s.println(table(rows...))
					return exitOK
				}
				return s.printFile(ctx, node, a.ID, path, tail)
			}
		},
	}
}

func (s *session) fileRow(f *apiclient.FileInfo, plain bool) []string {
	name, size := f.Name, bytesText(uint64(max(f.Size, 0)))
	if f.IsDir {
		name += "/"
	}
	if plain {
		size = fmt.Sprint(f.Size)
	}
	return []string{f.FileMode, size, f.ModTime.In(s.deps.Location).Format(time.RFC3339), name}
}

// printFile prints a file or the end of it, and with -f what is added to it.
func (s *session) printFile(ctx context.Context, node *apiclient.NodeClient, id model.AllocID, path string, tail *tailFlags) int {
	if !*tail.tail && !*tail.follow {
		body, err := node.Cat(ctx, id, path)
		if err != nil {
			return s.fail("Error reading file: %v", err)
		}
		defer body.Close()
		if _, err := io.Copy(s.deps.Stdout, body); err != nil {
			return s.interrupted(ctx, "Error reading file: %v", err)
		}
		return exitOK
	}
	origin, offset, lines := tail.start()
	frames, err := node.StreamFile(ctx, id, apiclient.FileStream{Path: path, Origin: origin, Offset: offset, Follow: *tail.follow})
	if err == nil {
		err = copyTail(s.deps.Stdout, frames, lines)
	}
	if err != nil && ctx.Err() == nil {
		return s.fail("Error reading file: %v", err)
	}
	return exitOK
}
