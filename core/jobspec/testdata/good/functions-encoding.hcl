job "j" {
  meta {
    base64decode = base64decode("aGk=")
    base64encode = base64encode("hi")
    csvdecode    = jsonencode(csvdecode("a,b\n1,2"))
    jsondecode   = jsondecode("{\"a\":[1]}").a[0]
    jsonencode   = jsonencode({ a = [1, "x", true, null] })
    urlencode    = urlencode("a b&c")
    yamldecode   = yamldecode("a: [1, x]").a[1]
    yamlencode   = yamlencode({ a = [1, "x"] })
    md5          = md5("x")
    sha1         = sha1("x")
    sha256       = sha256("x")
    sha512       = sha512("x")
    uuidv5       = uuidv5("dns", "example.com")
    uuidv5_own   = uuidv5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "example.com")
    uuidv4       = strlen(uuidv4())
    bcrypt       = strlen(bcrypt("x", 4))
    formatdate   = formatdate("YYYY-MM-DD", "2026-01-02T03:04:05Z")
    timeadd      = timeadd("2026-01-02T03:04:05Z", "1h")
  }
}
