job "j" {
  meta {
    file       = file("files/a.txt")
    filebase64 = filebase64("files/b.bin")
    exists     = fileexists("files/a.txt")
    absent     = fileexists("files/none")
    set        = jsonencode(fileset("files", "*.txt"))
    deep       = jsonencode(fileset("files", "**/*.{txt,md}"))
    none       = jsonencode(fileset("files", "*.go"))
    basename   = basename("a/b.txt")
    dirname    = dirname("a/b.txt")
    abspath    = basename(abspath("files"))
    pathexpand = pathexpand("/x/~")
  }
}
