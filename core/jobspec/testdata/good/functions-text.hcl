job "j" {
  meta {
    chomp         = chomp("x\n\n")
    format        = format("%s-%03d", "a", 7)
    formatlist    = join(",", formatlist("%s!", ["a", "b"]))
    indent        = indent(2, "a\nb")
    join          = join("-", ["a", "b"])
    lower         = lower("AB")
    regex_replace = regex_replace("a1b2", "[0-9]", "#")
    replace       = replace("a.b", ".", "/")
    reverse       = reverse("abc")
    split         = jsonencode(split(",", "a,b"))
    strlen        = strlen("äb")
    strrev        = strrev("xyz")
    substr        = substr("hello", -3, -1)
    title         = title("hello world")
    trim          = trim("?!x?", "?!")
    trimprefix    = trimprefix("foobar", "foo")
    trimspace     = trimspace("  x ")
    trimsuffix    = trimsuffix("foobar", "bar")
    upper         = upper("ab")
  }
}
